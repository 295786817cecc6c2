//! Reading and writing objects.

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::Method;
use md5::{Digest, Md5};
use test_support::{
    http::Answer,
    signing::{Signing, escaped},
};

use crate::lab::Lab;

#[tokio::test]
async fn ranges_return_the_requested_bytes() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    // Several chunks of the store.
    let content: Bytes = (0..=250).cycle().take(2_500_000).collect::<Vec<u8>>().into();
    alice.put("demo/object", content.clone()).await.expect(200);
    let size = content.len();
    for (range, first, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=1048570-1048590", 1_048_570, 1_048_591),
        ("bytes=1048576-2097151", 1_048_576, 2_097_152),
        ("bytes=2499999-", 2_499_999, size),
        ("bytes=-1", size - 1, size),
        ("bytes=-9999999", 0, size),
        ("bytes=10-99999999999999999999999", 10, size),
    ] {
        let answer = get_with(&alice, &[("range", range)]).await.expect(206);
        assert!(answer.body == content[first..end], "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {first}-{}/{size}", end - 1));
        let head = alice.send_with(Method::HEAD, "demo/object", &[("range", range)], "").await;
        assert_eq!(head.expect(206).header("content-length"), (end - first).to_string());
    }
    for range in ["bytes=2500000-", "bytes=-0", "bytes=9999999-99999999"] {
        let answer = get_with(&alice, &[("range", range)]).await;
        assert_eq!(answer.header("content-range"), format!("bytes */{size}"));
        answer.fails(416, "InvalidRange");
    }
    for range in ["bytes=9-5", "bytes=", "bytes=-", "bytes=1-2,5-6", "bytes=+1-2", "lines=1-2"] {
        let answer = get_with(&alice, &[("range", range)]).await.expect(200);
        assert_eq!(answer.body.len(), size, "{range}");
    }
}

#[tokio::test]
async fn metadata_of_an_object_is_returned() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    let metadata = [
        ("content-type", "text/x-poem"),
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment; filename=\"a b\""),
        ("content-encoding", "rot13"),
        ("content-language", "de"),
        ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
        ("x-amz-meta-color", "red"),
    ];
    alice.send_with(Method::PUT, "demo/object", &metadata, "poem").await.expect(200);
    let head = alice.send(Method::HEAD, "demo/object", "").await.expect(200);
    for (name, value) in metadata {
        assert_eq!(head.header(name), value, "{name}");
    }
    assert_eq!(head.header("content-length"), "4");
    assert_eq!(head.header("etag"), format!("\"{}\"", HEXLOWER.encode(&Md5::digest("poem"))));

    // Parameters of the query replace headers.
    let wanted = "demo/object?response-content-type=text%2Fplain&response-expires=0";
    let answer = alice.get(wanted).await.expect(200);
    assert_eq!((answer.header("content-type"), answer.header("expires")), ("text/plain", "0"));

    // A copy keeps or replaces all metadata.
    let copy = [("x-amz-copy-source", "/demo/object")];
    alice.send_with(Method::PUT, "demo/copy", &copy, "").await.expect(200);
    assert_eq!(alice.get("demo/copy").await.header("x-amz-meta-color"), "red");
    let replaced = [copy[0], ("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-taste", "sour")];
    alice.send_with(Method::PUT, "demo/copy", &replaced, "").await.expect(200);
    let answer = alice.get("demo/copy").await.expect(200);
    let metadata = (answer.header("x-amz-meta-color"), answer.header("x-amz-meta-taste"));
    assert_eq!((metadata, answer.text().as_str()), (("", "sour"), "poem"));

    let large = [("x-amz-meta-much", &*"x".repeat(5_000))];
    alice.send_with(Method::PUT, "demo/large", &large, "").await.fails(400, "MetadataTooLarge");
}

#[tokio::test]
async fn conditions_apply_to_reads_writes_and_copies() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    let etag = alice.put("demo/object", "one").await.expect(200).header("etag").to_owned();
    let date = alice.get("demo/object").await.header("last-modified").to_owned();
    let old = "Thu, 01 Jan 1998 00:00:00 GMT";
    for (headers, status) in [
        (&[("if-match", &*etag)][..], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", "\"other\"")], 412),
        (&[("if-none-match", &*etag)], 304),
        (&[("if-none-match", "\"a\", W/\"b\"")], 200),
        (&[("if-modified-since", &*date)], 304),
        (&[("if-modified-since", old)], 200),
        (&[("if-unmodified-since", &*date)], 200),
        (&[("if-unmodified-since", old)], 412),
        // Conditions on the `ETag` take precedence over conditions on the time.
        (&[("if-match", &*etag), ("if-unmodified-since", old)], 200),
        (&[("if-none-match", "\"a\""), ("if-modified-since", &*date)], 200),
    ] {
        assert_eq!(get_with(&alice, headers).await.status, status, "{headers:?}");
    }
    let put = |path, headers| {
        let alice = alice.clone();
        async move { alice.send_with(Method::PUT, path, headers, "two").await.status.as_u16() }
    };
    assert_eq!(put("demo/object", &[("if-none-match", "*")]).await, 412);
    assert_eq!(put("demo/object", &[("if-match", "\"other\"")]).await, 412);
    assert_eq!(put("demo/absent", &[("if-match", "*")]).await, 412);
    assert_eq!(alice.get("demo/object").await.text(), "one");
    assert_eq!(put("demo/fresh", &[("if-none-match", "*")]).await, 200);
    assert_eq!(put("demo/fresh", &[("if-match", "*")]).await, 200);

    let source = ("x-amz-copy-source", "demo/object");
    let copy_if = |name, tag| {
        let alice = alice.clone();
        let headers = [source, (name, tag)];
        async move { alice.send_with(Method::PUT, "demo/copy", &headers, "").await.status.as_u16() }
    };
    assert_eq!(copy_if("x-amz-copy-source-if-match", "\"other\"").await, 412);
    assert_eq!(copy_if("x-amz-copy-source-if-none-match", "*").await, 412);
    alice.get("demo/copy").await.fails(404, "NoSuchKey");
    assert_eq!(copy_if("x-amz-copy-source-if-match", &*etag.clone().leak()).await, 200);
}

#[tokio::test]
async fn body_that_differs_from_its_headers_is_not_stored() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    alice.put("demo/object", "old").await.expect(200);
    let md5 = BASE64.encode(&Md5::digest("other"));
    let wrong = [("content-md5", &*md5)];
    alice.send_with(Method::PUT, "demo/object", &wrong, "new").await.fails(400, "BadDigest");
    let none = [("content-md5", "?")];
    alice.send_with(Method::PUT, "demo/object", &none, "new").await.fails(400, "InvalidDigest");
    let content = Bytes::from(vec![b'a'; 150_000]);
    alice.send_in_chunks("demo/object", &content, true).await.fails(403, "SignatureDoesNotMatch");
    assert_eq!(alice.get("demo/object").await.text(), "old");
    alice.send_in_chunks("demo/object", &content, false).await.expect(200);
    let answer = alice.get("demo/object").await.expect(200);
    assert!(answer.body == content);
    // The transfer encoding is not stored.
    assert_eq!(answer.header("content-encoding"), "");
}

#[tokio::test]
async fn any_text_is_a_valid_key() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    alice.put("other", "").await.expect(200);
    let keys =
        ["..", "../other/x", "a//b", "/", "a/./b/..", "a b+c", "ü&<\"'>", "%2F", "\u{1}\r\n"];
    let encoded = |key| format!("demo/{}", escaped(key));
    for key in keys {
        alice.put(&encoded(key), key.to_owned()).await.expect(200);
    }
    alice.put("demo/../other/y", "as it stands").await.expect(200);
    for key in keys {
        assert_eq!(alice.get(&encoded(key)).await.expect(200).text(), key);
    }
    assert_eq!(alice.get("other").await.all("Key"), [""; 0]);
    assert_eq!(alice.get("demo").await.all("Key").len(), keys.len() + 1);
    alice.put(&format!("demo/{}", "k".repeat(1_024)), "").await.expect(200);
    alice.put(&format!("demo/{}", "k".repeat(1_025)), "").await.fails(400, "KeyTooLongError");
}

async fn get_with(who: &Signing, headers: &[(&str, &str)]) -> Answer {
    who.send_with(Method::GET, "demo/object", headers, "").await
}
