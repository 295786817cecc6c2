//! A bucket belongs to the project of the key that created it.

use http::Method;
use test_support::{
    http::{Answer, Client},
    keys::{Key, insert_without_project, set_status},
    signing::Signing,
};

use crate::lab::Lab;

#[tokio::test]
async fn only_keys_of_its_project_can_use_a_bucket() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    let (bob, carol) = (lab.holder("dev-bob").await, lab.holder("dev-carol").await);
    alice.put("demo/object", "alice's").await.expect(200);
    let upload = alice.post("demo/parts?uploads", "").await.expect(200).all("UploadId").remove(0);

    // Another user of the project has the same rights.
    assert_eq!(bob.get("demo/object").await.expect(200).text(), "alice's");
    bob.put("demo/bobs", "").await.expect(200);
    assert_eq!(bob.get("").await.all("Name"), ["demo"]);

    // A user of another project has no access.
    assert_eq!(carol.get("").await.expect(200).all("Name"), [""; 0]);
    carol.put("carols", "").await.expect(200);
    let part = format!("demo/parts?partNumber=1&uploadId={upload}");
    let upload = format!("demo/parts?uploadId={upload}");
    let delete = "<Delete><Object><Key>object</Key></Object></Delete>";
    for (method, path, body) in [
        (Method::GET, "demo", ""),
        (Method::GET, "demo?list-type=2", ""),
        (Method::GET, "demo?location", ""),
        (Method::GET, "demo?versioning", ""),
        (Method::DELETE, "demo", ""),
        (Method::POST, "demo?delete", delete),
        (Method::GET, "demo/object", ""),
        (Method::PUT, "demo/object", "carol's"),
        (Method::DELETE, "demo/object", ""),
        (Method::POST, "demo/other?uploads", ""),
        (Method::PUT, &part, "carol's"),
        (Method::GET, &upload, ""),
        (
            Method::POST,
            &upload,
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
        ),
        (Method::DELETE, &upload, ""),
    ] {
        let what = format!("{method} {path}");
        let answer = carol.send(method, path, body).await;
        assert!(answer.text().contains("<Code>AccessDenied</Code>"), "{what}: {answer:?}");
    }
    carol.send(Method::HEAD, "demo/object", "").await.expect(403);
    carol.put("demo", "").await.fails(409, "BucketAlreadyExists");
    copy(&carol, "demo/object", "carols/copy").await.fails(403, "AccessDenied");
    carol.put("carols/own", "carol's").await.expect(200);
    copy(&carol, "carols/own", "demo/object").await.fails(403, "AccessDenied");

    assert_eq!(alice.get("demo").await.all("Key"), ["bobs", "object"]);
    assert_eq!(alice.get("demo/object").await.text(), "alice's");
    alice.get(&upload).await.expect(200);
    alice.put("demo", "").await.fails(409, "BucketAlreadyOwnedByYou");
}

#[tokio::test]
async fn key_without_a_project_is_rejected() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("keys.db");
    let key = insert_without_project(&file).await;
    let lab = Lab::start(&["--backend", &format!("sqlite:{}", file.display())]).await;
    let alice = lab.alice().await;
    alice.put("demo/object", "alice's").await.expect(200);
    let url = lab.server.url.clone();
    let without = |key: Key| Signing { client: Client::http2(&url), url: url.clone(), key };
    let wrong = without(Key { secret: "wrong".into(), ..key.clone() });
    let without = without(key);
    for path in ["", "demo", "demo/object", "nowhere"] {
        without.get(path).await.fails(403, "AccessDenied");
    }
    without.put("mine", "").await.fails(403, "AccessDenied");
    without.put("demo/other", "2").await.fails(403, "AccessDenied");
    without.delete("demo/object").await.fails(403, "AccessDenied");
    without.post_form("demo", &[("key", "posted")], "3").await.fails(403, "AccessDenied");
    wrong.get("demo").await.fails(403, "SignatureDoesNotMatch");
    assert_eq!(alice.get("demo").await.all("Key"), ["object"]);
}

#[tokio::test]
async fn unsigned_requests_reach_only_the_health_check() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    alice.put("demo/object", "alice's").await.expect(200);
    alice.put("healthz", "").await.expect(200);
    let client = lab.server.client();
    for path in ["/", "/demo", "/demo/object", "/healthz?location", "/healthz/"] {
        client.get(path, "").await.fails(403, "AccessDenied");
    }
    assert_eq!(client.get("/healthz", "").await.expect(200).text(), "ok\n");
    assert_eq!(alice.get("healthz").await.expect(200).all("Name"), ["healthz"]);
}

#[tokio::test]
async fn disabled_key_is_rejected_at_once_despite_the_cache() {
    let lab = Lab::start(&["--key-ttl", "3600"]).await;
    let alice = lab.alice().await;
    for _ in 0..10 {
        alice.get("demo").await.expect(200);
        set_status(&alice.client, &alice.key, "Inactive").await;
        alice.get("demo").await.fails(403, "InvalidAccessKeyId");
        set_status(&alice.client, &alice.key, "Active").await;
    }
}

async fn copy(who: &Signing, from: &str, to: &str) -> Answer {
    who.send_with(Method::PUT, to, &[("x-amz-copy-source", from)], "").await
}
