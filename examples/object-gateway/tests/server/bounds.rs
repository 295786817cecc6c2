//! Stored content is limited, and rejected content occupies no memory.

use bytes::Bytes;
use http::Method;

use test_support::{clients::rusty_s3::Store, http::Raw, signing::Signing, waiting::Waiting};
use tokio::time::sleep;

use crate::lab::Lab;

/// The memory of a bucket, an object or an upload without content.
const ENTRY: usize = 8 << 10;

/// The limit allows a bucket and an object of this size.
const SIZE: usize = 200_000;

#[tokio::test]
async fn memory_of_rejected_and_deleted_content_is_returned() {
    let bytes = (SIZE + 2 * ENTRY).to_string();
    let lab = Lab::start(&["--max-bytes", &bytes]).await;
    let alice = lab.alice().await;
    let full = || Bytes::from(vec![b'a'; SIZE]);
    let more = || Bytes::from(vec![b'a'; SIZE + 1]);
    // If one of these kept memory, the next one would fail.
    alice.put("demo/object", more()).await.fails(507, "InsufficientStorage");
    alice.send_in_chunks("demo/object", &full(), true).await.fails(403, "SignatureDoesNotMatch");
    disconnect(&lab).await;
    let wrong = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    alice.send_with(Method::PUT, "demo/object", &wrong, full()).await.fails(400, "BadDigest");
    alice.put("absent/object", full()).await.fails(404, "NoSuchBucket");

    alice.put("demo/object", full()).await.expect(200);
    alice.put("demo/another", "x").await.fails(507, "InsufficientStorage");
    alice.put("another", "").await.fails(507, "InsufficientStorage");
    alice.post("demo/parts?uploads", "").await.fails(507, "InsufficientStorage");
    let copy = [("x-amz-copy-source", "demo/object")];
    let answer = alice.send_with(Method::PUT, "demo/copy", &copy, "").await;
    answer.fails(507, "InsufficientStorage");
    alice.delete("demo/object").await.expect(204);

    let upload = alice.post("demo/parts?uploads", "").await.expect(200).all("UploadId").remove(0);
    let part = format!("demo/parts?partNumber=1&uploadId={upload}");
    for _ in 0..2 {
        let tag = alice.put(&part, full()).await.expect(200).header("etag").to_owned();
        let wrong = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}x</ETag></Part></CompleteMultipartUpload>"
        );
        alice.post(&format!("demo/parts?uploadId={upload}"), wrong).await.fails(400, "InvalidPart");
        // The new part is stored before the old one is dropped.
        alice.put(&part, full()).await.fails(507, "InsufficientStorage");
        alice.put(&part, "").await.expect(200);
    }
    let tag = alice.put(&part, full()).await.expect(200).header("etag").to_owned();
    let all = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    );
    alice.post(&format!("demo/parts?uploadId={upload}"), all).await.expect(200);
    alice.put("demo/another", "x").await.fails(507, "InsufficientStorage");
    let delete = "<Delete><Object><Key>parts</Key></Object></Delete>";
    alice.post("demo?delete", delete).await.expect(200);

    alice.put("demo/object", full()).await.expect(200);
    alice.delete("demo/object").await.expect(204);
    alice.delete("demo").await.expect(204);
    alice.put("demo", "").await.expect(200);
    alice.put("demo/object", full()).await.expect(200);
}

/// Disconnects in the middle of a body, which occupies memory until then.
async fn disconnect(lab: &Lab) {
    let alice = lab.holder("dev-alice").await;
    let bucket = Store::new(&alice.client, &alice.url, "demo", &alice.key);
    let url = bucket.put_url("object");
    let (path, host) = (url.strip_prefix(&alice.url).unwrap(), lab.server.host());
    let mut raw = Raw::connect(host).await;
    let head = format!("PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {SIZE}\r\n\r\n");
    raw.send(head).await;
    raw.send(vec![b'a'; SIZE - 1]).await;
    wait_for_status(&alice, 507).await;
    drop(raw);
    wait_for_status(&alice, 400).await;
}

/// Waits until an object with a wrong hash is rejected with this status.
async fn wait_for_status(who: &Signing, status: u16) {
    let wrong = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    for () in Waiting::start() {
        let answer = who.send_with(Method::PUT, "demo/wrong", &wrong, vec![b'a'; 2 * ENTRY]).await;
        if answer.status.as_u16() == status {
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("the status is never {status}");
}

#[tokio::test]
async fn documents_are_limited_and_have_no_entities() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    alice.put("demo/object", "").await.expect(200);
    let delete = |content: &str| format!("<Delete>{content}</Delete>");
    let entry = "<Object><Key>object</Key></Object>";
    for document in [
        String::new(),
        "no XML".into(),
        delete(""),
        delete(&entry.repeat(1_001)),
        delete("<Object/>"),
        delete(entry) + "<Delete/>",
        delete(&format!("{}{}", "<a>".repeat(50), "</a>".repeat(50))),
        delete("<Object><Key>&object;</Key></Object>"),
        format!("<!DOCTYPE Delete [<!ENTITY object \"object\">]>{}", delete(entry)),
        format!("<Remove>{entry}</Remove>"),
        delete(entry).replace("</Delete>", ""),
    ] {
        alice.post("demo?delete", document.clone()).await.fails(400, "MalformedXML");
    }
    let long = delete(&" ".repeat(5 << 20));
    alice.post("demo?delete", long).await.fails(400, "EntityTooLarge");
    alice.get("demo/object").await.expect(200);

    // Character references are decoded.
    alice.put("demo/a%26b", "").await.expect(200);
    let both = "<Object><Key>a&#38;b</Key></Object><Object><Key><![CDATA[object]]></Key></Object>";
    let namespace =
        format!("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{both}</Delete>");
    let answer = alice.post("demo?delete", namespace).await.expect(200);
    assert_eq!(answer.all("Key"), ["a&amp;b", "object"]);
    let quiet = delete(&format!("<Quiet>true</Quiet>{entry}"));
    assert_eq!(alice.post("demo?delete", quiet).await.expect(200).all("Key"), [""; 0]);
    assert_eq!(alice.get("demo").await.all("Key"), [""; 0]);
}

#[tokio::test]
async fn unknown_operations_return_501() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    alice.put("demo/object", "kept").await.expect(200);
    for query in ["acl", "tagging", "retention", "versionId=1", "partNumber=1", "uploads", "new"] {
        let object = format!("demo/object?{query}");
        alice.put(&object, "changed").await.fails(501, "NotImplemented");
        alice.delete(&object).await.fails(501, "NotImplemented");
        alice.get(&object).await.fails(501, "NotImplemented");
    }
    for query in ["acl", "policy", "lifecycle", "website", "uploads"] {
        let bucket = format!("demo?{query}");
        alice.put(&bucket, "").await.fails(501, "NotImplemented");
        alice.delete(&bucket).await.fails(501, "NotImplemented");
        alice.get(&bucket).await.fails(501, "NotImplemented");
    }
    for name in ["ab", "Upper", "a_b", "-ab", "ab-", "a..b", &"a".repeat(64)] {
        alice.put(name, "").await.fails(400, "InvalidBucketName");
    }
    alice.delete("demo").await.fails(409, "BucketNotEmpty");
    assert_eq!(alice.get("demo/object").await.text(), "kept");
}
