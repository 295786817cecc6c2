//! Bodies in chunks through the layer, and what the store receives.

use std::fmt::Write;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::Request;
use http_body_util::Full;
use sha2::{Digest, Sha256};
use tower_credentials::{
    clock::Clock,
    domain::SecretKey,
    signature::{ChunkDecoder, CredentialScope, SigningKey, request::S3ErrorCode},
};

use crate::gate::{Gate, SECRET, request};

const SCOPE: &str = "20260102/us-east-1/s3/aws4_request";
const TIME: &str = "20260102T030405Z";

/// A head that declares chunks, and the signature that the first chunk covers.
fn head(
    gate: &Gate,
    declared: &str,
    length: &str,
    trailer: &str,
) -> (http::request::Builder, String) {
    let mut unsigned = request("PUT", "/b/k").header("content-encoding", "aws-chunked,gzip");
    if !length.is_empty() {
        unsigned = unsigned.header("x-amz-decoded-content-length", length);
    }
    if !trailer.is_empty() {
        unsigned = unsigned.header("x-amz-trailer", trailer);
    }
    let (signed, seed) = gate.signer().payload(declared).sign(unsigned.body(()).unwrap());
    let mut builder = Request::builder().method("PUT").uri("/b/k");
    *builder.headers_mut().unwrap() = signed.headers().clone();
    (builder, seed)
}

/// The payload in chunks, each signed.
fn chunks(seed: &str, parts: &[&str]) -> Vec<u8> {
    chunks_of(SECRET, seed, parts)
}

/// The payload in chunks, each signed with this secret.
pub(crate) fn chunks_of(secret: &str, seed: &str, parts: &[&str]) -> Vec<u8> {
    let scope = CredentialScope::parse(SCOPE).unwrap();
    let key = SigningKey::derive(&SecretKey::from_stored(secret), &scope);
    let (mut body, mut previous) = (String::new(), seed.to_owned());
    for part in parts.iter().chain(&[""]) {
        let [nothing, hash] = ["", part].map(|text| HEXLOWER.encode(&Sha256::digest(text)));
        let text =
            format!("AWS4-HMAC-SHA256-PAYLOAD\n{TIME}\n{SCOPE}\n{previous}\n{nothing}\n{hash}");
        previous = HEXLOWER.encode(&key.sign(text.as_bytes()));
        let length = part.len();
        write!(body, "{length:x};chunk-signature={previous}\r\n{part}\r\n").unwrap();
    }
    body.into_bytes()
}

fn with(builder: http::request::Builder, body: Vec<u8>) -> Request<Full<Bytes>> {
    builder.header("content-length", body.len()).body(Full::from(body)).unwrap()
}

#[tokio::test]
async fn store_receives_payload_and_length_without_chunks() {
    let gate = Gate::new().await;
    assert_eq!(gate.clock.now(), gate.signer().time);
    let (builder, seed) = head(&gate, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "11", "");
    let body = chunks(&seed, &["hello ", "world"]);
    let reached = gate.send(with(builder, body)).await.verified();
    assert_eq!(reached.body.unwrap(), "hello world");
    assert_eq!(reached.headers["content-length"], "11");
    assert_eq!(reached.headers["content-encoding"], "gzip");
}

#[tokio::test]
async fn aws_chunked_coding_is_removed_even_without_chunks() {
    let gate = Gate::new().await;
    for (sent, left) in
        [("aws-chunked", None), ("gzip, AWS-chunked", Some("gzip")), ("br", Some("br"))]
    {
        let unsigned = request("POST", "/b/k?uploads").header("content-encoding", sent);
        let (signed, _) = gate.signer().sign(unsigned.body(Full::<Bytes>::default()).unwrap());
        let reached = gate.send(signed).await.verified();
        let coding = reached.headers.get("content-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(coding, left, "{sent}");
    }
}

#[tokio::test]
async fn changed_swapped_duplicate_or_missing_chunks_are_refused() {
    let gate = Gate::new().await;
    let parts = ["one", "two", "six"];
    for (what, code, change) in [
        (
            "changed",
            S3ErrorCode::SignatureDoesNotMatch,
            (|body| body.replace("two", "TWO")) as fn(String) -> String,
        ),
        ("cut", S3ErrorCode::IncompleteBody, |body| body[..body.len() - 1].into()),
        ("without its last chunk", S3ErrorCode::IncompleteBody, |body| {
            body[..body.rfind("0;chunk").unwrap()].into()
        }),
        ("exchanged", S3ErrorCode::SignatureDoesNotMatch, |body| {
            let mut lines: Vec<_> = body.split("\r\n").collect();
            lines.swap(0, 2);
            lines.swap(1, 3);
            lines.join("\r\n")
        }),
        ("repeated", S3ErrorCode::SignatureDoesNotMatch, |body| {
            let lines: Vec<_> = body.split("\r\n").collect();
            [&lines[..2], &lines[..2], &lines[4..]].concat().join("\r\n")
        }),
        ("with data after the end", S3ErrorCode::InvalidRequest, |body| body + "x"),
        ("unsigned", S3ErrorCode::InvalidRequest, |body| {
            let lines = body.split("\r\n").map(|line| line.split(';').next().unwrap());
            lines.collect::<Vec<_>>().join("\r\n")
        }),
    ] {
        let (builder, seed) = head(&gate, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "9", "");
        let body = String::from_utf8(chunks(&seed, &parts)).unwrap();
        let answer = gate.send(with(builder, change(body).into_bytes())).await;
        assert_eq!(answer.code, Some(code), "{what}: {}", answer.body);
        // The store also receives an error before the end.
        assert!(answer.reached.unwrap().body.is_err(), "{what}");
    }
    // Chunks of another request do not verify.
    let (builder, seed) = head(&gate, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "9", "");
    let other = seed.replace(&seed[..1], if seed.starts_with('0') { "1" } else { "0" });
    let answer = gate.send(with(builder, chunks(&other, &parts))).await;
    answer.has_code(S3ErrorCode::SignatureDoesNotMatch);
}

#[tokio::test]
async fn missing_headers_of_chunks_are_refused_before_the_body_is_read() {
    let gate = Gate::new().await;
    for length in ["", "-1", "nine", "99999999999999999999"] {
        let (builder, seed) = head(&gate, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", length, "");
        let answer = gate.send(with(builder, chunks(&seed, &["one"]))).await;
        answer.refused(S3ErrorCode::MissingContentLength);
    }
    let unsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let (builder, _) = head(&gate, unsigned, "3", "x-amz-checksum-crc99");
    gate.send(with(builder, Vec::new())).await.refused(S3ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn head_checksum_is_checked_for_chunks() {
    let gate = Gate::new().await;
    for (crc, good) in [("y/Q5Jg==", true), ("AAAAAA==", false)] {
        let unsigned = request("PUT", "/b/k")
            .header("x-amz-decoded-content-length", "9")
            .header("x-amz-checksum-crc32", crc);
        let by = gate.signer().payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        let (signed, seed) = by.sign(unsigned.body(()).unwrap());
        let body = chunks(&seed, &["12345", "6789"]);
        let answer = gate.send(signed.map(|()| Full::from(body))).await;
        if good {
            assert_eq!(answer.verified().body.unwrap(), "123456789");
        } else {
            answer.has_code(S3ErrorCode::BadDigest);
        }
    }
}

#[test]
fn decoder_debug_shows_nothing_that_was_sent() {
    let mut decoder = ChunkDecoder::unsigned(100);
    let mut body = Bytes::from("a;secret");
    let _ = decoder.decode(&mut body);
    assert_eq!(format!("{decoder:?}"), "ChunkDecoder { remaining: 100, .. }");
}

#[tokio::test]
async fn trailer_checksum_is_checked_and_reaches_the_store() {
    let gate = Gate::new().await;
    let unsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let body = |payload: &str| {
        format!("9\r\n{payload}\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n").into_bytes()
    };
    let (builder, _) = head(&gate, unsigned, "9", "x-amz-checksum-crc32");
    let reached = gate.send(with(builder, body("123456789"))).await.verified();
    assert_eq!(reached.body.unwrap(), "123456789");
    assert_eq!(reached.trailers["x-amz-checksum-crc32"], "y/Q5Jg==");

    let (builder, _) = head(&gate, unsigned, "9", "x-amz-checksum-crc32");
    let answer = gate.send(with(builder, body("123456798"))).await;
    answer.has_code(S3ErrorCode::BadDigest);
    assert!(answer.reached.unwrap().body.is_err());
}
