//! Differences between folders and S3: keys below objects, lists, ranges, missing parts.

use http::{Method, Request};
use http_body_util::Full;
use tower_credentials::clock::{Clock, SystemClock};

use crate::lab::Lab;

#[tokio::test]
async fn folder_of_objects_is_not_an_object() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    alice.get("data/dir").await.fails(404, "NoSuchKey");
    alice.send(Method::HEAD, "data/dir", "").await.expect(404);
    alice.put("data/dir", "2").await.fails(400, "InvalidRequest");
    alice.delete("data/dir").await.expect(204);
    let source = [("x-amz-copy-source", "data/dir")];
    alice.send_with(Method::PUT, "data/copied", &source, "").await.fails(404, "NoSuchKey");
    alice.post("data/dir?uploads", "").await.fails(400, "InvalidRequest");

    // An object has no keys below it.
    alice.get("data/dir/x/y").await.fails(404, "NoSuchKey");
    alice.send(Method::HEAD, "data/dir/x/y", "").await.expect(404);
    alice.put("data/dir/x/y", "2").await.fails(400, "InvalidRequest");
    alice.delete("data/dir/x/y").await.expect(204);

    let body = "<Delete><Object><Key>dir</Key></Object><Object><Key>dir/x/y</Key></Object>\
                <Object><Key>nothing</Key></Object></Delete>";
    let answer = alice.post("data?delete", body).await;
    assert_eq!(answer.expect(200).all("Key"), ["dir", "dir/x/y", "nothing"]);
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn objects_in_missing_buckets_are_rejected() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    alice.put("nowhere/x", "1").await.fails(404, "NoSuchBucket");
    alice.post("nowhere/x?uploads", "").await.fails(404, "NoSuchBucket");
    alice.get("nowhere/x").await.fails(404, "NoSuchBucket");
    alice.delete("nowhere/x").await.fails(404, "NoSuchBucket");
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn suffix_range_is_limited_to_the_object() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    alice.put("data/five", "12345").await.expect(200);
    let get = async |range: &str| {
        alice.send_with(Method::GET, "data/five", &[("range", range)], "").await
    };
    for (range, content) in [
        ("bytes=-2", "45"),
        ("bytes=-5", "12345"),
        ("bytes=-1000", "12345"),
        ("bytes=-9223372036854775808", "12345"),
        ("bytes=-18446744073709551615", "12345"),
        ("bytes=1-2", "23"),
    ] {
        assert_eq!(get(range).await.expect(206).text(), content, "{range}");
    }
    get("bytes=5-").await.fails(416, "InvalidRange");
    get("bytes=-0").await.fails(416, "InvalidRange");
    alice.put("data/five", "").await.expect(200);
    get("bytes=-1").await.fails(416, "InvalidRange");
    alice.delete("data/five").await.expect(204);
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn delimiter_is_one_character_or_empty() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    alice.put("data/%C3%A9%C3%A9", "1").await.expect(200);
    for list in ["data?", "data?list-type=2&"] {
        let empty = alice.get(&format!("{list}delimiter=")).await.expect(200);
        assert_eq!(empty.all("Key"), ["dir/x", "\u{e9}\u{e9}"]);
        let slash = alice.get(&format!("{list}delimiter=%2F")).await.expect(200);
        assert_eq!(slash.all("Key"), ["\u{e9}\u{e9}"]);
        for delimiter in ["%C3%A9", "ab", "%2F%2F"] {
            let answer = alice.get(&format!("{list}delimiter={delimiter}")).await;
            answer.fails(400, "InvalidArgument");
        }
    }
    alice.delete("data/%C3%A9%C3%A9").await.expect(204);
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn invalid_part_numbers_and_missing_parts_are_rejected() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    let upload = alice.post("data/parts?uploads", "").await.expect(200).all("UploadId").remove(0);
    for number in ["0", "-1", "10001"] {
        let part = format!("data/parts?partNumber={number}&uploadId={upload}");
        alice.put(&part, "1").await.fails(400, "InvalidArgument");
    }
    let complete = format!("data/parts?uploadId={upload}");
    let document = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>\
                    </CompleteMultipartUpload>";
    alice.post(&complete, document).await.fails(400, "InvalidPart");
    for unknown in ["x", "..%2F..%2Fx", "00000000-0000-0000-0000-000000000000"] {
        let answer = alice.post(&format!("data/parts?uploadId={unknown}"), document).await;
        assert!(answer.status.is_client_error(), "{unknown}: {answer:?}");
    }
    // The upload still exists, and can be completed.
    alice.put(&format!("data/parts?partNumber=1&uploadId={upload}"), "1").await.expect(200);
    alice.post(&complete, document).await.expect(200);
    assert_eq!(alice.get("data/parts").await.expect(200).text(), "1");
    alice.delete("data/parts").await.expect(204);
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn body_that_differs_from_the_signed_one_returns_400_and_is_not_stored() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    let signer = alice.signer(SystemClock.now()).body("signed");
    let upload = alice.post("data/parts?uploads", "").await.expect(200).all("UploadId").remove(0);
    for path in ["data/dir/x", &format!("data/parts?partNumber=1&uploadId={upload}")] {
        for body in ["other!", ""] {
            let put = Request::put(format!("{}/{path}", alice.url));
            let (put, _) = signer.sign(put.body(Full::from(body)).unwrap());
            alice.client.try_send(put).await.unwrap().fails(400, "IncompleteBody");
        }
    }
    lab.assert_unchanged().await;
}

#[tokio::test]
async fn concurrently_deleted_object_returns_404() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    let changes = async || {
        for _ in 0..40 {
            alice.put("data/gone", "1").await.expect(200);
            alice.delete("data/gone").await.expect(204);
        }
    };
    let reads = async || {
        for _ in 0..40 {
            alice.get("data").await.expect(200);
            alice.get("data?list-type=2").await.expect(200);
            let found = alice.get("data/gone").await;
            assert!([200, 404].contains(&found.status.as_u16()), "{found:?}");
        }
    };
    tokio::join!(changes(), changes(), reads(), reads());
    lab.assert_unchanged().await;
}
