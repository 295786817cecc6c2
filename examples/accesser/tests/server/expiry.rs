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
/// uploaded before stays. `s3s-fs` lets only the key that began an upload continue it: another key
/// begins again, or the owner extends the life of the expired key.
#[tokio::test]
async fn upload_of_an_expired_key_continues_after_its_life_is_extended() {
    let lab = Lab::start(&[]).await;
    let alice = &lab.alice;
    let key = mint(&alice.client, "dev-alice").await;
    let short = Signing { key, ..alice.clone() };
    let upload = short.post("data/parts?uploads", "").await.expect(200).all("UploadId").remove(0);
    let end = expire_in(&alice.client, &short.key, Duration::from_secs(4)).await;
    let upload_path = format!("data/parts?uploadId={upload}");
    let part = |number: u8| format!("data/parts?partNumber={number}&uploadId={upload}");
    short.put(&part(1), "first").await.expect(200);
    short.get("data").await.expect(200);

    sleep(end.duration_since(SystemClock.now()).unwrap_or_default()).await;
    short.put(&part(2), "second").await.refused("InvalidAccessKeyId");
    short.get("data").await.refused("InvalidAccessKeyId");
    alice.put(&part(2), "second").await.refused("AccessDenied");
    alice.get("data").await.expect(200);

    expire_in(&alice.client, &short.key, Duration::from_hours(1)).await;
    assert_eq!(short.get(&upload_path).await.expect(200).all("PartNumber"), ["1"]);
    let tag = short.put(&part(1), "first").await.expect(200).header("etag").to_owned();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    );
    short.post(&upload_path, parts).await.expect(200);
    assert_eq!(alice.get("data/parts").await.expect(200).text(), "first");
    alice.delete("data/parts").await.expect(204);
    lab.assert_unchanged().await;
}
