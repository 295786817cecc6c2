//! Multipart uploads.

use bytes::Bytes;
use http::Method;
use test_support::{http::Answer, signing::Signing};

use crate::lab::Lab;

const SMALLEST: usize = 5 << 20;

/// A started upload.
struct Upload<'a> {
    who: &'a Signing,
    id: String,
}

impl<'a> Upload<'a> {
    async fn begin(who: &'a Signing) -> Self {
        let answer = who.post("demo/whole?uploads", "").await.expect(200);
        Self { who, id: answer.all("UploadId").remove(0) }
    }

    /// Sends a part; returns its `ETag`.
    async fn part(&self, number: u32, body: impl Into<Bytes>) -> String {
        let path = format!("demo/whole?partNumber={number}&uploadId={}", self.id);
        self.who.put(&path, body).await.expect(200).header("etag").to_owned()
    }

    async fn complete(&self, parts: &[(u32, &str)]) -> Answer {
        let part = |(number, tag): &(u32, &str)| {
            let tag = tag.replace('"', "&quot;");
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
        };
        let parts: String = parts.iter().map(part).collect();
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        self.who.post(&self.path(), document).await
    }

    fn path(&self) -> String {
        format!("demo/whole?uploadId={}", self.id)
    }
}

#[tokio::test]
async fn object_consists_of_the_listed_parts_in_order() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    alice.put("demo/whole", "old").await.expect(200);
    let upload = Upload::begin(&alice).await;
    let large = Bytes::from(vec![b'1'; SMALLEST]);
    let (one, small) = (upload.part(1, large.clone()).await, upload.part(2, "small").await);
    upload.part(9, "not named").await;
    let three = upload.part(3, "replaced").await;
    let three_again = upload.part(3, "the last").await;

    upload.complete(&[(2, &small), (1, &one)]).await.fails(400, "InvalidPartOrder");
    upload.complete(&[(1, &one), (1, &one)]).await.fails(400, "InvalidPartOrder");
    upload.complete(&[(1, &one), (4, &one)]).await.fails(400, "InvalidPart");
    upload.complete(&[(1, &one), (3, &three)]).await.fails(400, "InvalidPart");
    upload.complete(&[(2, &small), (3, &three_again)]).await.fails(400, "EntityTooSmall");
    upload.complete(&[]).await.fails(400, "MalformedXML");
    alice.post(&upload.path(), "<Complete/>").await.fails(400, "MalformedXML");
    assert_eq!(alice.get("demo/whole").await.text(), "old");

    let listed = alice.get(&format!("{}&max-parts=2", upload.path())).await.expect(200);
    assert_eq!(listed.all("PartNumber"), ["1", "2"]);
    assert_eq!(listed.all("NextPartNumberMarker"), ["2"]);
    let rest = format!("{}&max-parts=2&part-number-marker=2", upload.path());
    let listed = alice.get(&rest).await.expect(200);
    assert_eq!(
        (listed.all("PartNumber"), listed.all("Size")),
        (vec!["3".into(), "9".into()], vec!["8".into(), "9".into()])
    );
    assert_eq!(listed.all("IsTruncated"), ["false"]);

    let done = upload.complete(&[(1, &one), (3, &three_again)]).await.expect(200);
    assert!(done.all("ETag")[0].ends_with("-2&quot;"), "{done:?}");
    let whole = alice.get("demo/whole").await.expect(200);
    assert!(whole.body == [&large[..], b"the last"].concat());
    alice.get(&upload.path()).await.fails(404, "NoSuchUpload");
    upload.complete(&[(1, &one)]).await.fails(404, "NoSuchUpload");
}

#[tokio::test]
async fn parts_can_be_copied_from_ranges_of_objects() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    let content: Bytes = (0..=250).cycle().take(SMALLEST + 100).collect::<Vec<u8>>().into();
    alice.put("demo/source", content.clone()).await.expect(200);
    let upload = Upload::begin(&alice).await;
    let mut tags = Vec::new();
    for (number, range) in [(1, format!("bytes=50-{}", SMALLEST + 49)), (2, "bytes=0-2".into())] {
        let path = format!("demo/whole?partNumber={number}&uploadId={}", upload.id);
        let headers = [("x-amz-copy-source", "demo/source"), ("x-amz-copy-source-range", &*range)];
        let answer = alice.send_with(Method::PUT, &path, &headers, "").await.expect(200);
        tags.push(answer.all("ETag")[0].replace("&quot;", ""));
    }
    upload.complete(&[(1, &tags[0]), (2, &tags[1])]).await.expect(200);
    let whole = alice.get("demo/whole").await.expect(200);
    assert!(whole.body == [&content[50..SMALLEST + 50], &content[..3]].concat());
}

#[tokio::test]
async fn upload_belongs_to_one_key_and_has_at_most_ten_thousand_parts() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    let upload = Upload::begin(&alice).await;
    upload.part(10_000, "last").await;
    for number in ["0", "10001", "-1", "x", ""] {
        let path = format!("demo/whole?partNumber={number}&uploadId={}", upload.id);
        alice.put(&path, "part").await.fails(400, "InvalidArgument");
    }
    let other = format!("demo/other?partNumber=1&uploadId={}", upload.id);
    alice.put(&other, "part").await.fails(404, "NoSuchUpload");
    alice.delete(&upload.path()).await.expect(204);
    alice.delete(&upload.path()).await.fails(404, "NoSuchUpload");
    // A bucket with only unfinished uploads is empty.
    Upload::begin(&alice).await;
    alice.delete("demo").await.expect(204);
}

#[tokio::test]
async fn object_occupies_the_memory_of_its_parts_until_it_is_deleted() {
    // Plus 8 KiB for the bucket and 8 KiB for the upload.
    let bytes = (SMALLEST + 20_000 + (16 << 10)).to_string();
    let lab = Lab::start(&["--max-bytes", &bytes]).await;
    let alice = lab.alice().await;
    let upload = Upload::begin(&alice).await;
    let one = upload.part(1, vec![b'1'; SMALLEST]).await;
    let two = upload.part(2, vec![b'2'; 20_000]).await;
    upload.complete(&[(1, &one), (2, &two)]).await.expect(200);
    alice.put("demo/another", "x").await.fails(507, "InsufficientStorage");
    alice.delete("demo/whole").await.expect(204);
    alice.put("demo/another", vec![b'a'; SMALLEST + 20_000]).await.expect(200);
    alice.put("demo/one-more", "x").await.fails(507, "InsufficientStorage");
}
