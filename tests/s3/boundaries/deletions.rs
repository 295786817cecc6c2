//! The keys in the body of `DeleteObjects`.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tower_credentials::{operation::S3OperationName, signature::request::S3ErrorCode};

use super::{assert_outside, one_prefix};
use crate::{
    forms::Never,
    gate::{Answer, Gate, request},
};

/// The longest body that the layer reads.
const MAX_BODY: usize = 2 << 20;

pub(crate) fn document(keys: &[&str]) -> String {
    let objects = keys.iter().flat_map(|key| ["<Object><Key>", key, "</Key></Object>"]);
    let objects: String = objects.collect();
    format!("<Delete>{objects}<Quiet>true</Quiet></Delete>")
}

async fn delete(gate: &Gate, body: &str) -> Answer {
    let unsigned = request("POST", "/data?delete").body(Full::from(body.to_owned())).unwrap();
    gate.send(gate.signer().body(body).sign(unsigned).0).await
}

#[tokio::test]
async fn deletion_within_the_boundary_reaches_the_store_byte_by_byte() {
    let gate = Gate::new().await;
    gate.bind(&one_prefix()).await;
    let body = document(&["team/a", "team/b&amp;c"]);
    let reached = delete(&gate, &body).await.verified();
    assert_eq!(reached.body.unwrap(), body);
    assert_eq!(reached.headers["content-length"], body.len().to_string());
    assert_eq!(reached.operation.unwrap().name(), S3OperationName::DeleteObjects);
}

#[tokio::test]
async fn one_key_outside_the_boundary_refuses_the_whole_deletion() {
    let gate = Gate::new().await;
    gate.bind(&one_prefix()).await;
    for keys in [&["team/a", "keep/b"][..], &["keep/b"], &["team"]] {
        let answer = delete(&gate, &document(keys)).await;
        assert_outside(&answer, &keys.join(", "));
        assert!(!answer.body.contains("keep"), "the answer names no key");
    }
    let versioned = "<Delete><Object><Key>team/a</Key><VersionId>7</VersionId></Object></Delete>";
    assert_outside(&delete(&gate, versioned).await, versioned);
    gate.bind(&json!({"policy": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::data/*"},
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::data/keep/*"}]}}))
        .await;
    delete(&gate, &document(&["a"])).await.verified();
    assert_outside(&delete(&gate, &document(&["a", "keep/b"])).await, "keep/b");
}

#[tokio::test]
async fn body_that_parsers_read_differently_is_malformed() {
    let gate = Gate::new().await;
    gate.bind(&one_prefix()).await;
    for body in [
        "",
        "<Delete></Delete>",
        "<Delete><Object><Key>team/a</Key><Key>keep/b</Key></Object></Delete>",
        "<Delete><Object><Key>team/a<!-- x --></Key></Object></Delete>",
        "<Delete><Object><Key><![CDATA[team/a]]></Key></Object></Delete>",
        "<!DOCTYPE x [<!ENTITY e \"keep/b\">]><Delete><Object><Key>&e;</Key></Object></Delete>",
        "<Delete><Object><Key> team/a</Key></Object></Delete>",
        "<Delete><Object><Key>team/../keep/b</Key></Object></Delete>",
        "<Delete><x:Object xmlns:x=\"y\"><Key>team/a</Key></x:Object></Delete>",
        "<Delete><Object><Key>team/a</Key></Object></Delete><Delete/>",
        "<Delete><Object><Key>team/a</Key><Unknown>1</Unknown></Object></Delete>",
        "not XML",
    ] {
        let answer = delete(&gate, body).await;
        answer.refused(S3ErrorCode::MalformedXml);
    }
    let many: Vec<_> = (0..1_001).map(|_| "team/a").collect();
    delete(&gate, &document(&many)).await.refused(S3ErrorCode::MalformedXml);
    delete(&gate, &document(&many[..1_000])).await.verified();
}

#[tokio::test]
async fn body_passes_unread_if_the_boundary_allows_every_key_and_is_refused_if_it_allows_none() {
    let gate = Gate::new().await;
    let all = json!({"policy": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}]}});
    gate.bind(&all).await;
    let comment = "<!-- the store decides --><Delete/>";
    assert_eq!(delete(&gate, comment).await.verified().body.unwrap(), comment);
    for none in [
        json!({"permission": "read", "buckets": ["data"]}),
        json!({"permission": "read-write", "buckets": ["other"]}),
    ] {
        gate.bind(&none).await;
        let unsigned = request("POST", "/data?delete").body(Never).unwrap();
        let signer = gate.signer().payload("UNSIGNED-PAYLOAD");
        // A body that never ends is not read.
        assert_outside(&gate.send(signer.sign(unsigned).0).await, "unread");
    }
}

#[tokio::test]
async fn body_that_was_changed_on_the_way_is_refused() {
    let gate = Gate::new().await;
    gate.bind(&one_prefix()).await;
    let (signed, sent) = (document(&["team/a"]), document(&["team/b"]));
    let unsigned = request("POST", "/data?delete").body(Full::from(sent)).unwrap();
    let answer = gate.send(gate.signer().body(signed).sign(unsigned).0).await;
    answer.refused(S3ErrorCode::XAmzContentSha256Mismatch);
}

#[tokio::test]
async fn long_and_slow_bodies_are_refused() {
    let gate = Gate::with(|builder| builder.form_timeout(Duration::from_millis(50))).await;
    gate.bind(&one_prefix()).await;
    let unsigned_payload = || gate.signer().payload("UNSIGNED-PAYLOAD");
    let send = async |body| {
        let unsigned: Request<_> = request("POST", "/data?delete").body(body).unwrap();
        gate.send(unsigned_payload().sign(unsigned).0).await
    };
    let long = Full::from(vec![b'x'; MAX_BODY + 1]);
    send(long.boxed()).await.refused(S3ErrorCode::MaxMessageLengthExceeded);
    send(Never.boxed()).await.refused(S3ErrorCode::RequestTimeout);
}

#[tokio::test]
async fn bodies_of_one_owner_get_an_eighth_of_the_memory_and_room_for_one() {
    let gate = Gate::with(|builder| builder.deletion_buffers(1_000)).await;
    gate.bind(&one_prefix()).await;
    let keys: Vec<_> = (0..40).map(|_| "team/a").collect();
    delete(&gate, &document(&keys[..10])).await.verified();
    let answer = delete(&gate, &document(&keys)).await;
    assert!(document(&keys).len() > 1_000 && document(&keys[..10]).len() <= 1_000);
    answer.refused(S3ErrorCode::SlowDown);
    assert_eq!(answer.headers["retry-after"], "5");
    // The memory is free again.
    delete(&gate, &document(&keys[..10])).await.verified();
    let whole = Gate::with(|builder| builder.deletion_buffers(MAX_BODY)).await;
    whole.bind(&one_prefix()).await;
    delete(&whole, &document(&keys)).await.verified();
}
