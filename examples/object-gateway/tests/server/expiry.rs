//! Keys that expire during work of several requests.

use std::time::Duration;

use test_support::{
    keys::{expire_in, mint},
    signing::Signing,
};
use tokio::time::sleep;
use tower_credentials::clock::{Clock, SystemClock};

use crate::lab::Lab;

/// Each request is checked on its own: those that begin after the expiry are refused. What was
/// uploaded before stays. An upload belongs to the project, so another key of it continues.
#[tokio::test]
async fn upload_and_listing_of_an_expired_key_continue_with_another_key_of_the_project() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    for name in ["a", "b", "c"] {
        alice.put(&format!("demo/{name}"), name).await.expect(200);
    }
    let key = mint(&alice.client, "dev-alice").await;
    let short = Signing { key, ..alice.clone() };
    let upload = short.post("demo/parts?uploads", "").await.expect(200).all("UploadId").remove(0);
    let end = expire_in(&alice.client, &short.key, Duration::from_secs(4)).await;
    let upload_path = format!("demo/parts?uploadId={upload}");
    let part = |number: u8| format!("demo/parts?partNumber={number}&uploadId={upload}");
    let content = |number: u8| vec![number; 5 << 20];
    let first = short.put(&part(1), content(1)).await.expect(200);
    let page = short.get("demo?list-type=2&max-keys=2").await.expect(200);
    assert_eq!(page.all("Key"), ["a", "b"]);
    let token = page.all("NextContinuationToken").remove(0);
    let next = format!("demo?continuation-token={token}&list-type=2&max-keys=2");

    sleep(end.duration_since(SystemClock.now()).unwrap_or_default()).await;
    let parts = |tags: &[&str]| {
        let part = |(number, tag): (usize, &&str)| {
            format!("<Part><PartNumber>{}</PartNumber><ETag>{tag}</ETag></Part>", number + 1)
        };
        let parts: String = tags.iter().enumerate().map(part).collect();
        format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
    };
    let first = first.header("etag");
    let code = "InvalidAccessKeyId";
    short.put(&part(2), content(2)).await.refused(code);
    short.post(&upload_path, parts(&[first])).await.refused(code);
    short.delete(&upload_path).await.refused(code);
    short.get(&next).await.refused(code);

    assert_eq!(alice.get(&next).await.expect(200).all("Key"), ["c"]);
    assert_eq!(alice.get(&upload_path).await.expect(200).all("PartNumber"), ["1"]);
    let second = alice.put(&part(2), content(2)).await.expect(200);
    alice.post(&upload_path, parts(&[first, second.header("etag")])).await.expect(200);
    let whole = alice.get("demo/parts").await.expect(200);
    assert!(whole.body == [content(1), content(2)].concat());
}
