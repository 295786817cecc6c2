//! What is verified, and what the app receives.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use tower_credentials::{
    RequestId,
    clock::Clock,
    s3::{Anonymous, Mechanism},
    signature::request::{Payload, S3ErrorCode},
};

use crate::gate::{ACCESS, Gate, request};

#[tokio::test]
async fn signed_request_reaches_the_store_with_its_key() {
    let gate = Gate::new().await;
    let unsigned = request("GET", "/bucket/key?versionId=7").header("range", "bytes=0-9");
    let (signed, _) = gate.signer().sign(unsigned.body(Empty::<Bytes>::new()).unwrap());
    let reached = gate.send(signed).await.verified();
    let key = reached.key.unwrap();
    assert_eq!(key.access_key().as_str(), ACCESS);
    assert_eq!((key.user_id().as_str(), key.project_id().unwrap().as_str()), ("alice", "demo"));
    assert_eq!((key.mechanism(), key.region()), (Mechanism::HeaderV4, "us-east-1"));
    assert_eq!(key.signed_at(), Some(gate.clock.now()));
    assert_eq!(key.expires_at(), None);
    assert_eq!(key.signed_headers(), "host;range;x-amz-content-sha256;x-amz-date");
    assert!(key.is_signed("range") && !key.is_signed("ran") && !key.is_signed("x-amz-acl"));
    assert!(matches!(key.payload(), Payload::Hash(_)));
}

#[tokio::test]
async fn presigned_request_is_valid_until_it_expires() {
    let gate = Gate::new().await;
    let minute = Duration::from_mins(1);
    let sign = || {
        let unsigned = request("GET", "/bucket/a%20key").body(Empty::<Bytes>::new()).unwrap();
        gate.signer().presigning(minute).sign(unsigned).0
    };
    let signed = sign();
    let key = gate.send(signed.clone()).await.verified().key.unwrap();
    assert_eq!(key.mechanism(), Mechanism::QueryV4);
    assert_eq!(key.expires_at(), Some(gate.clock.now() + minute));
    assert_eq!(key.payload(), Payload::Unsigned);
    gate.clock.advance(minute);
    gate.send(signed.clone()).await.verified();
    gate.clock.advance(Duration::from_secs(1));
    let answer = gate.send(signed).await;
    answer.refused(S3ErrorCode::AccessDenied);
    assert!(answer.body.contains("<ServerTime>20260102T030506Z</ServerTime>"), "{}", answer.body);
    gate.send(sign()).await.verified();
}

#[tokio::test]
async fn request_is_valid_for_15_minutes_in_both_directions() {
    let gate = Gate::new().await;
    for (offset, good) in [(-901_i64, false), (-900, true), (900, true), (901, false)] {
        let mut signer = gate.signer();
        let by = Duration::from_secs(offset.unsigned_abs());
        signer.time = if offset < 0 { signer.time - by } else { signer.time + by };
        let unsigned = request("GET", "/b/k").body(Empty::<Bytes>::new()).unwrap();
        let answer = gate.send(signer.sign(unsigned).0).await;
        if good {
            answer.verified();
        } else {
            answer.refused(S3ErrorCode::RequestTimeTooSkewed);
        }
    }
}

#[tokio::test]
async fn body_is_checked_against_the_declared_hash_while_it_is_read() {
    let gate = Gate::new().await;
    let put = |body: &'static str| request("PUT", "/b/k").body(Full::new(Bytes::from(body)));
    let (signed, _) = gate.signer().body("content").sign(put("content").unwrap());
    let reached = gate.send(signed.clone()).await.verified();
    assert_eq!(reached.body.unwrap(), "content");

    // The store responded with 200. The client receives the error.
    let answer = gate.send(signed.map(|_| Full::new(Bytes::from("CONTENT")))).await;
    answer.has_code(S3ErrorCode::XAmzContentSha256Mismatch);
    assert_eq!(answer.reached.unwrap().body, Err("HashMismatch".into()));

    let (signed, _) = gate.signer().body("content").sign(put("").unwrap());
    gate.send(signed).await.refused(S3ErrorCode::XAmzContentSha256Mismatch);
}

#[tokio::test]
async fn unsigned_requests_are_refused_or_pass_by_setting() {
    let unsigned = || request("GET", "/b/k").body(Empty::<Bytes>::new()).unwrap();
    Gate::new().await.send(unsigned()).await.refused(S3ErrorCode::AccessDenied);

    let open = Gate::with(|builder| builder.anonymous(Anonymous::Pass)).await;
    let reached = open.send(unsigned()).await.reached.unwrap();
    assert!(reached.key.is_none());
    // Signed requests are verified with both settings.
    let mut signer = open.signer();
    signer.secret.push('x');
    open.send(signer.sign(unsigned()).0).await.refused(S3ErrorCode::SignatureDoesNotMatch);
}

#[tokio::test]
async fn signature_for_another_region_is_refused_with_the_expected_one() {
    let gate = Gate::with(|builder| builder.regions(["eu-1", "eu-2"])).await;
    for (region, good) in [("eu-1", true), ("eu-2", true), ("us-east-1", false), ("eu", false)] {
        for presigned in [false, true] {
            let mut signer = gate.signer();
            if presigned {
                signer = signer.presigning(Duration::from_mins(1));
            }
            signer.region = region.into();
            let unsigned = request("GET", "/b/k").body(Empty::<Bytes>::new()).unwrap();
            let answer = gate.send(signer.sign(unsigned).0).await;
            if good {
                assert_eq!(answer.verified().key.unwrap().region(), region);
            } else {
                answer.refused(if presigned {
                    S3ErrorCode::AuthorizationQueryParametersError
                } else {
                    S3ErrorCode::AuthorizationHeaderMalformed
                });
                assert!(answer.body.contains("<Region>eu-1</Region>"), "{}", answer.body);
            }
        }
    }
}

#[tokio::test]
async fn signed_header_cannot_be_split_at_its_commas() {
    let gate = Gate::new().await;
    let joined = request("PUT", "/b/k").header("x-amz-copy-source", "/b/one,two");
    let (signed, _) = gate.signer().sign(joined.body(Empty::<Bytes>::new()).unwrap());
    gate.send(signed.clone()).await.verified();
    let mut apart = signed;
    apart.headers_mut().insert("x-amz-copy-source", "/b/one".parse().unwrap());
    apart.headers_mut().append("x-amz-copy-source", "two".parse().unwrap());
    gate.send(apart).await.refused(S3ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn head_checksum_of_a_put_is_checked() {
    let gate = Gate::new().await;
    let put = |crc: &str, body: &'static str| {
        let unsigned = request("PUT", "/b/k").header("x-amz-checksum-crc32", crc);
        let unsigned = unsigned.body(Full::new(Bytes::from(body))).unwrap();
        gate.signer().body(body).sign(unsigned).0
    };
    gate.send(put("y/Q5Jg==", "123456789")).await.verified();
    gate.send(put("y/Q5Jg==", "")).await.refused(S3ErrorCode::BadDigest);
    gate.send(put("AAAAAA==", "")).await.verified();
    gate.send(put("y/Q5Jg==", "12345678")).await.has_code(S3ErrorCode::BadDigest);
    gate.send(put("nonsense", "")).await.refused(S3ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn unsigned_request_is_checked_against_its_declaration() {
    let open = Gate::with(|builder| builder.anonymous(Anonymous::Pass)).await;
    let put = |declared: &str, body: &'static str| {
        request("PUT", "/b/k")
            .header("x-amz-content-sha256", declared)
            .header("x-amz-decoded-content-length", "9")
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .header("content-encoding", "aws-chunked")
            .body(Full::new(Bytes::from(body)))
            .unwrap()
    };
    let chunks = "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    let answer = open.send(put("STREAMING-UNSIGNED-PAYLOAD-TRAILER", chunks)).await;
    let reached = answer.reached.unwrap();
    assert_eq!(reached.body.unwrap(), "123456789");
    assert!(!reached.headers.contains_key("content-encoding"));
    let answer = open.send(put("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", chunks)).await;
    answer.refused(S3ErrorCode::AccessDenied);
    open.send(put(&"0".repeat(64), "x")).await.has_code(S3ErrorCode::XAmzContentSha256Mismatch);
}

#[tokio::test]
async fn http_2_authority_is_the_host() {
    let gate = Gate::new().await;
    let unsigned = Request::get("http://s3.example.org/b/k").body(Empty::<Bytes>::new()).unwrap();
    let (signed, _) = gate.signer().sign(unsigned);
    assert!(!signed.headers().contains_key("host"));
    gate.send(signed).await.verified();
}

#[tokio::test]
async fn response_to_head_has_no_body_and_an_id() {
    let gate = Gate::new().await;
    let answer = gate.send(request("HEAD", "/b/k").body(Empty::<Bytes>::new()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (403, ""));
    assert_eq!(answer.headers["content-type"], "application/xml");
    assert_eq!(answer.headers["x-amz-request-id"].len(), 16);
}

#[tokio::test]
async fn refusal_has_the_request_id_that_the_server_inserted() {
    let gate = Gate::new().await;
    let id = RequestId::parse("from-the.server:1").unwrap();
    let mut invalid = gate.signer().sign(request("PUT", "/b/k").body(Full::from("a")).unwrap()).0;
    // The request is admitted, and its body is refused.
    *invalid.body_mut() = Full::<Bytes>::from("b");
    let unsigned = request("GET", "/b/k").body(Full::<Bytes>::default()).unwrap();
    for mut request in [unsigned, invalid] {
        request.extensions_mut().insert(id.clone());
        let answer = gate.send(request).await;
        assert_eq!(answer.headers["x-amz-request-id"], id.as_str(), "{}", answer.body);
        let element = format!("<RequestId>{id}</RequestId>");
        assert!(answer.body.contains(&element), "{}", answer.body);
    }
}
