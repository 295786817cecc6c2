//! Keys that would leave the folder of their bucket, in every spelling and every request.

use http::{Method, Request};
use http_body_util::Full;
use test_support::{
    http::Answer,
    signing::{Signing, escaped},
};
use tower_credentials::clock::{Clock, SystemClock};

use crate::lab::Lab;

/// Keys that every request must reject.
const MISPLACED: [&str; 22] = [
    ".",
    "..",
    "../..",
    "../secret",
    "../secret/x",
    "../secret/planted",
    "../.bucket-c2VjcmV0.object-eA.internal.json",
    "dir/../../secret/x",
    "./dir/x",
    "dir/./x",
    "dir/x/.",
    "dir/x/..",
    "dir/x/",
    "dir/",
    "/dir/x",
    "/etc/passwd",
    "//etc/passwd",
    "dir//x",
    "a\0b",
    "a\nb",
    "a\u{7f}b",
    "a\u{85}b",
];

/// Other spellings of a path with the same signature.
fn spellings(path: &str) -> Vec<String> {
    let dots = path.replace('.', "%2e");
    let first = path.replacen('.', "%2E", 1);
    let mixed = path.replace("..", ".%2e");
    let both = path.replace("..", "%2E%2e");
    let mut all = vec![path.to_owned(), dots, first, mixed, both];
    all.dedup();
    all
}

/// Sends a request to another path than it is signed for.
async fn send_as(who: &Signing, method: &Method, signed: &str, sent: &str) -> Answer {
    let request = Request::builder().method(method).uri(format!("{}{signed}", who.url));
    let (mut request, _) =
        who.signer(SystemClock.now()).sign(request.body(Full::default()).unwrap());
    *request.uri_mut() = format!("{}{sent}", who.url).parse().unwrap();
    who.client.try_send(request).await.unwrap()
}

#[tokio::test]
async fn keys_outside_of_the_bucket_are_rejected_in_every_spelling() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    let mut sent = 0;
    for key in MISPLACED {
        let path = format!("/data/{}", escaped(key));
        for spelled in spellings(&path) {
            for (method, query) in [
                (Method::GET, ""),
                (Method::HEAD, ""),
                (Method::PUT, ""),
                (Method::DELETE, ""),
                (Method::POST, "?uploads"),
                (Method::GET, "?uploadId=7"),
                (Method::DELETE, "?uploadId=7"),
            ] {
                let (path, spelled) = (format!("{path}{query}"), format!("{spelled}{query}"));
                let answer = send_as(alice, &method, &path, &spelled).await;
                let text = answer.text();
                assert_eq!(answer.status, 400, "{method} {spelled}: {answer:?}");
                let is_expected = text.contains("<Code>InvalidArgument</Code>");
                assert!(is_expected || method == Method::HEAD, "{method} {spelled}: {text}");
                sent += 1;
            }
        }
    }
    assert!(sent > 300, "only {sent}");
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn encoded_slashes_cannot_leave_the_bucket_with_either_signature_version() {
    let lab = Lab::start(&["--signature-v2"]).await;
    for path in [
        "/data/..%2fsecret/x",
        "/data/..%2Fsecret%2Fx",
        "/data%2f..%2fsecret/x",
        "/data%2F..%2Fsecret%2Fx",
        "/data/%2fetc/passwd",
        "/data/dir%2f%2fx",
        "/data/dir/x%2f",
    ] {
        // Version 2 signs the path as it is sent, version 4 the decoded path.
        lab.send_v2("GET", path).await.fails(400, "InvalidArgument");
        lab.send_v2("DELETE", path).await.fails(400, "InvalidArgument");
        let decoded = path.replace("%2f", "/").replace("%2F", "/");
        send_as(&lab.alice, &Method::GET, &decoded, path).await.fails(400, "InvalidURI");
    }
    // Inside of a key, it is a slash.
    assert_eq!(lab.send_v2("GET", "/data/dir%2Fx").await.expect(200).text(), "1");
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn backslash_is_an_ordinary_character() {
    let lab = Lab::start(&[]).await;
    let key = "..%5Csecret%5Cx";
    lab.alice.put(&format!("data/{key}"), "mine").await.expect(200);
    assert_eq!(lab.alice.get(&format!("data/{key}")).await.expect(200).text(), "mine");
    assert!(lab.alice.get("data").await.text().contains("<Key>..\\secret\\x</Key>"));
    lab.alice.delete(&format!("data/{key}")).await.expect(204);
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn invalid_utf_8_and_invalid_bucket_names_are_rejected() {
    let lab = Lab::start(&[]).await;
    lab.alice.get("data/a%FF").await.fails(400, "InvalidURI");
    for bucket in ["..", ".", ".data", "a", "192.168.0.1", "data..", "Data", "da%00ta", "da_ta"] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            for path in [bucket.to_owned(), format!("{bucket}/x")] {
                lab.alice.send(method.clone(), &path, "").await.fails(400, "InvalidBucketName");
            }
        }
    }
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn too_long_keys_are_rejected_and_not_stored() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    let too_long = "KeyTooLongError";
    let name = "x".repeat(256);
    for key in [name.clone(), format!("dir/{name}"), format!("{name}/x")] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            alice.send(method, &format!("data/{key}"), "1").await.fails(400, too_long);
        }
    }
    // The folder has files that are named after the whole key.
    let fits = |length: usize| format!("data/{}", "y".repeat(length));
    alice.put(&fits(165), "1").await.fails(400, too_long);
    alice.put(&fits(164), "1").await.expect(200);
    assert_eq!(alice.get(&fits(164)).await.expect(200).text(), "1");
    alice.delete(&fits(164)).await.expect(204);
    alice.post(&format!("{}?uploads", fits(132)), "").await.fails(400, too_long);
    alice.post(&format!("{}?uploads", fits(131)), "").await.expect(200);
    alice.get(&fits(165)).await.fails(404, "NoSuchKey");
    let parts = vec!["z".repeat(200); 5].join("/");
    alice.put(&format!("data/{parts}"), "1").await.fails(400, too_long);
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn sources_of_copies_are_checked_like_keys() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    let upload = alice.post("data/parts?uploads", "").await.expect(200).all("UploadId").remove(0);
    let part = format!("data/parts?partNumber=1&uploadId={upload}");
    let copy = async |to: &str, source: &str| {
        alice.send_with(Method::PUT, to, &[("x-amz-copy-source", source)], "").await
    };
    for key in MISPLACED {
        let plain = escaped(key);
        for source in [
            format!("data/{plain}"),
            format!("/data/{plain}"),
            format!("/data/{}", plain.replace('.', "%2e")),
            format!("%2Fdata%2F{}", plain.replace('/', "%2F")),
            format!("data/{plain}?versionId=1"),
        ] {
            for to in ["data/copied", &part] {
                let answer = copy(to, &source).await;
                assert_eq!(answer.status, 400, "{to} of {source}: {answer:?}");
            }
        }
    }
    for source in ["../secret/x", "//secret/x", "secret", "secret/", "", "data/%FF"] {
        let answer = copy("data/copied", source).await;
        assert_eq!(answer.status, 400, "{source}: {answer:?}");
    }
    alice.get("data/copied").await.fails(404, "NoSuchKey");
    for source in ["secret/x", "/secret/x", "secret%2Fx", "secret/x?versionId=../../x"] {
        copy("data/copied", source).await.expect(200);
        assert_eq!(alice.get("data/copied").await.text(), "SECRET");
    }
    alice.delete("data/copied").await.expect(204);
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn keys_of_a_bulk_delete_are_checked_before_anything_is_deleted() {
    let lab = Lab::start(&[]).await;
    let delete = async |keys: &[String]| {
        let keys = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>"));
        let body = format!("<Delete>{}</Delete>", keys.collect::<String>());
        lab.alice.post("data?delete", body).await
    };
    let mut bad: Vec<String> = MISPLACED
        .iter()
        .filter(|key| !key.contains('\0'))
        .map(|key| {
            key.replace('\n', "&#10;").replace('\u{7f}', "&#127;").replace('\u{85}', "&#133;")
        })
        .collect();
    bad.extend(["", "&#x2e;&#x2e;/secret/x", "&#46;./secret/x", "/secret/x"].map(String::from));
    for key in bad {
        let answer = delete(&["dir/x".into(), key.clone()]).await;
        assert_eq!(answer.status, 400, "{key}: {answer:?}");
    }
    for key in ["x".repeat(256), "x/".repeat(512) + "x"] {
        delete(&["dir/x".into(), key]).await.fails(400, "KeyTooLongError");
    }
    let many = vec!["none".to_owned(); 1_001];
    delete(&many).await.fails(400, "MalformedXML");
    delete(&many[1..]).await.expect(200);
    let large = vec!["<!-- -->".repeat(600_000)];
    delete(&large).await.fails(400, "EntityTooLarge");
    // Percent encoding has no meaning in XML.
    delete(&["a%2e%2e".into(), "..%2Fsecret%2Fx".into()]).await.expect(200);
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn keys_of_forms_are_checked() {
    let lab = Lab::start(&[]).await;
    for key in MISPLACED.iter().filter(|key| !key.contains(['\0', '\n'])) {
        let answer = lab.alice.post_form("data", &[("key", key)], "posted").await;
        assert_eq!(answer.status, 400, "{key}: {answer:?}");
    }
    let named = [("key", "../${filename}")];
    lab.alice.post_form("data", &named, "posted").await.fails(400, "InvalidArgument");
    lab.alice.post_form("data", &[("key", "posted ${filename}")], "posted").await.expect(204);
    assert_eq!(lab.alice.get("data/posted%20a%20b.txt").await.expect(200).text(), "posted");
    lab.alice.delete("data/posted%20a%20b.txt").await.expect(204);
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn list_parameters_cannot_leave_the_bucket() {
    let lab = Lab::start(&[]).await;
    for query in [
        "prefix=../",
        "prefix=..%2Fsecret%2F&delimiter=%2F",
        "prefix=%2Fetc%2F",
        "prefix=%00",
        "marker=..%2F",
        "list-type=2&start-after=zzz%2F..%2F",
        "list-type=2&continuation-token=zzz",
    ] {
        let answer = lab.alice.get(&format!("data?{query}")).await.expect(200);
        let text = answer.text();
        assert!(!text.contains("SECRET") && !text.contains("<Key>x</Key>"), "{query}: {text}");
    }
    lab.assert_unchanged().await;
}
