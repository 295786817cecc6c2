//! `S3sAccess`: keys with a boundary, behind the guard and an `s3s` service.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};
use tower_credentials::{clock::Clock, s3::ClientAddress};

use super::{
    bounded::{Bounded, Setup, bind, named},
    requests::header_v2,
};
use crate::{
    boundaries::{
        forms::cats,
        one_prefix,
        pitfalls::{ALLOWED, REFUSED},
        request_of, signed,
    },
    forms::Form,
    gate::request,
};

/// A boundary that allows every action.
fn everything() -> Value {
    json!({"policy": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}]}})
}

#[tokio::test]
async fn bounded_key_is_refused_unless_its_boundary_is_enforced() {
    let all = everything();
    let plain = Bounded::new(Setup::Plain, |key, _| bind(key, &all)).await;
    plain.get("/data/team/a").await.refused("InvalidAccessKeyId");
    let enforced = Bounded::by(&all).await;
    assert_eq!(enforced.get("/data/team/a").await.admitted(), named("GetObject", "data", "team/a"));
    // Nobody can enforce what nobody understands.
    let broken = Bounded::new(Setup::WithBoundaries, |key, _| {
        key.terms.set_boundary(Some("{\"permission\": \"all\"}".to_owned()));
    });
    broken.await.get("/data/team/a").await.refused("AccessDenied");
}

#[tokio::test]
async fn request_that_s3s_could_read_differently_does_not_reach_the_store() {
    let bounded = Bounded::new(Setup::BelowDomain, |key, _| bind(key, &one_prefix())).await;
    let mut denied = 0;
    for (reason, line) in REFUSED {
        let answer = bounded.send(signed(&bounded.signer(), line)).await;
        assert_eq!(answer.admitted, None, "{line} ({reason})");
        assert!(answer.status.is_client_error() || answer.status == 501, "{line}: {answer:?}");
        denied += usize::from(answer.body.contains("<Code>AccessDenied</Code>"));
    }
    // `s3s` refuses the others on its own: targets that it cannot parse or does not support.
    assert!(denied >= 30, "only {denied}");
    let below_domain = &"GET /team/a | host: data.s3.test";
    for line in ALLOWED.iter().chain([below_domain]) {
        let answer = bounded.send(signed(&bounded.signer(), line)).await;
        // The guard refuses an encoded slash in the path, and `s3s` takes other hosts for buckets.
        let is_refused = line.contains("/team%2Fa") || line.contains("host: ");
        if is_refused && line != below_domain && answer.admitted.is_none() {
            continue;
        }
        let (_, bucket, key) = answer.admitted();
        assert_eq!(bucket.as_deref(), Some("data"), "{line}");
        assert!(key.is_none_or(|key| key.starts_with("team/")), "{line}");
    }
}

#[tokio::test]
async fn keys_without_a_boundary_are_not_affected() {
    let (plain, with) = (Setup::Plain, Setup::WithBoundaries);
    let plain = Bounded::new(plain, |_, _| {}).await;
    let with = Bounded::new(with, |_, _| {}).await;
    let lines = REFUSED.iter().map(|(_, line)| line).chain(ALLOWED);
    for line in lines.filter(|line| !line.contains("host: ")) {
        let [expected, actual] = [
            plain.send(signed(&plain.signer(), line)).await,
            with.send(signed(&with.signer(), line)).await,
        ];
        assert_eq!(actual.code(), expected.code(), "{line}");
    }
    assert_eq!(with.delete(&["a", "keep/b"]).await.admitted().0, "DeleteObjects");
}

#[tokio::test]
async fn operation_that_the_store_does_not_serve_is_refused() {
    let bounded = Bounded::by(&everything()).await;
    for line in ["PUT /data/a?retention", "DELETE /data?policy", "GET /data/a?torrent"] {
        bounded.send(signed(&bounded.signer(), line)).await.refused("AccessDenied");
    }
    let tagging = bounded.send(signed(&bounded.signer(), "GET /data/a?tagging")).await;
    assert_eq!(tagging.admitted(), named("GetObjectTagging", "data", "a"));
}

#[tokio::test]
async fn deletion_is_checked_by_the_keys_that_s3s_parsed() {
    let bounded = Bounded::by(&one_prefix()).await;
    let admitted = bounded.delete(&["team/a", "team/b&amp;c"]).await.admitted();
    assert_eq!(admitted.0, "DeleteObjects");
    for keys in [
        &["team/a", "keep/b"][..],
        &["keep/b"],
        &["team"],
        &["team/../keep/b"],
        &["team/a", "<![CDATA[keep/b]]>"],
        &["&#107;eep/b"],
        &[""],
    ] {
        let answer = bounded.delete(keys).await;
        assert_eq!(answer.admitted, None, "{keys:?}: {answer:?}");
    }
    bounded.delete(&["team/a", "keep/b"]).await.refused("AccessDenied");
    // The prefix has no versions to delete.
    bounded
        .delete(&["team/a</Key><VersionId>7</VersionId></Object><Object><Key>team/b"])
        .await
        .refused("AccessDenied");
    let reader = Bounded::by(&json!({"permission": "read", "buckets": ["data"]})).await;
    reader.delete(&["team/a"]).await.refused("AccessDenied");
}

#[tokio::test]
async fn form_is_checked_by_the_key_of_its_file() {
    let bounded = Bounded::by(&cats()).await;
    let form = |key: &str| {
        let mut form = Form::signed(bounded.clock.now(), "us-east-1");
        form.policy = form.policy.replace("\"cats/\"", "\"\"");
        form.fields[0].1 = key.to_owned();
        form.to("/photos")
    };
    for key in ["cats/a", "cats/${filename}"] {
        assert_eq!(bounded.send(form(key)).await.admitted().0, "PostObject");
    }
    for key in ["dogs/a", "cats", "cats/../dogs/a", "${filename}", "/cats/a"] {
        bounded.send(form(key)).await.refused("AccessDenied");
    }
    let other = Bounded::by(&one_prefix()).await;
    other.send(form("cats/a")).await.refused("AccessDenied");
}

#[tokio::test]
async fn presigned_url_is_within_the_boundary_and_ends_with_the_key() {
    let end = Duration::from_mins(1);
    let bounded = Bounded::new(Setup::WithBoundaries, |key, clock| {
        bind(key, &one_prefix());
        key.terms.set_expires_at(Some(clock.now() + end));
    })
    .await;
    let presigned = |line| bounded.signer().presigning(10 * end).sign(request_of(line)).0;
    let url = presigned("GET /data/team/a");
    assert_eq!(bounded.send(url).await.admitted(), named("GetObject", "data", "team/a"));
    bounded.send(presigned("GET /data/other/a")).await.refused("AccessDenied");
    bounded.send(presigned("PUT /data/team/a?x-amz-acl=public-read")).await.refused("AccessDenied");
    let url = presigned("GET /data/team/a");
    bounded.clock.advance(end);
    bounded.send(url).await.refused("InvalidAccessKeyId");
    bounded.get("/data/team/a").await.refused("InvalidAccessKeyId");
}

#[tokio::test]
async fn bounded_key_cannot_sign_with_version_2() {
    let bounded = Bounded::by(&json!({"permission": "read", "buckets": ["photos"]})).await;
    let cat = named("GetObject", "photos", "cat.jpg");
    assert_eq!(bounded.get("/photos/cat.jpg").await.admitted(), cat);
    bounded.send(header_v2(bounded.clock.now())).await.refused("AccessDenied");
    let unbounded = Bounded::new(Setup::WithBoundaries, |_, _| {}).await;
    assert_eq!(unbounded.send(header_v2(unbounded.clock.now())).await.admitted(), cat);
}

#[tokio::test]
async fn condition_on_the_address_is_met_by_the_address_in_the_extensions() {
    let bounded = Bounded::by(&json!({"policy": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::data/*",
         "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]}}))
    .await;
    let from = async |address: Option<[u8; 4]>| {
        let mut request = signed(&bounded.signer(), "GET /data/a");
        if let Some(address) = address {
            request.extensions_mut().insert(ClientAddress(IpAddr::from(address)));
        }
        bounded.send(request).await
    };
    assert_eq!(from(Some([10, 1, 2, 3])).await.admitted(), named("GetObject", "data", "a"));
    from(Some([11, 1, 2, 3])).await.refused("AccessDenied");
    from(None).await.refused("AccessDenied");
}

#[tokio::test]
async fn upload_in_signed_chunks_is_checked() {
    let bounded = Bounded::by(&one_prefix()).await;
    let upload = |target: &str| {
        let unsigned = request("PUT", target)
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", 0)
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .body(())
            .unwrap();
        let signer = bounded.signer().payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        signer
            .sign(unsigned)
            .0
            .map(|()| Full::<Bytes>::from("0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"))
    };
    let admitted = bounded.send(upload("/data/team/a")).await.admitted();
    assert_eq!(admitted, named("PutObject", "data", "team/a"));
    bounded.send(upload("/data/other/a")).await.refused("AccessDenied");
}
