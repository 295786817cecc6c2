use std::time::{Duration, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha1::Sha1;
use sha2::Sha256;

use super::*;
use crate::signature::{decoy, hash::count, is_fresh};

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const MAX_SKEW: Duration = Duration::from_mins(15);
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const V1: &str = "PUT\n\ntext/plain\nFri, 02 Jan 2026 03:04:05 GMT\n/bucket/key.txt";
const V1_TOKEN: &str =
    "UFVUCgp0ZXh0L3BsYWluCkZyaSwgMDIgSmFuIDIwMjYgMDM6MDQ6MDUgR01UCi9idWNrZXQva2V5LnR4dA==";
const V1_SIGNATURE: &str = "0Q01BaiWNDGJzN9QznvT8QyhRQM=";
const V4_SIGNATURE: &str = "391347df4530b0f3ce21b1cbfc29c3ba5613027fc0f336c7ea363ff6cb392caa";

fn secret() -> SecretKey {
    SecretKey::from_stored(SECRET)
}

fn moment() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_323_045)
}

fn v4(date: &str, scope: &str, hash: &str) -> String {
    format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}")
}

fn v4_text() -> String {
    v4("20260102T030405Z", "20260102/us-east-1/s3/aws4_request", EMPTY)
}

fn parse(text: impl AsRef<[u8]>, signature: &str) -> Result<S3TokensRequest, SignatureError> {
    parse_token(&BASE64URL.encode(text.as_ref()), signature)
}

fn parse_token(token: &str, signature: &str) -> Result<S3TokensRequest, SignatureError> {
    S3TokensRequest::parse(AccessKey::from_stored("access"), token, signature)
}

/// Signs with the hash crates only.
fn sign_v1(secret: &str, text: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text);
    BASE64.encode(&mac.finalize().into_bytes())
}

/// Signs with the hash crates only.
fn sign_v4(secret: &str, scope: &str, text: &[u8]) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/').map(str::as_bytes).chain([text]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(part);
        key = mac.finalize().into_bytes().to_vec();
    }
    HEXLOWER.encode(&key)
}

#[test]
fn both_vectors_verify() {
    let old = parse_token(V1_TOKEN, V1_SIGNATURE).unwrap();
    assert_eq!(old.token, V1.as_bytes());
    let new = parse(v4_text(), V4_SIGNATURE).unwrap();
    for request in [old, new] {
        assert!(request.verify(&secret()));
        assert_eq!(request.signed_at(), Some(moment()));
        assert_eq!(request.access().as_str(), "access");
    }
}

#[test]
fn signature_for_another_key_date_region_or_service_is_rejected() {
    for request in [parse(V1, V1_SIGNATURE).unwrap(), parse(v4_text(), V4_SIGNATURE).unwrap()] {
        for other in ["0f1e2d3c4b5a69788796a5b4c3d2e1f1", "", " ", &SECRET[..31]] {
            assert!(!request.verify(&SecretKey::from_stored(other)), "{other}");
        }
    }
    let own = "20260102/us-east-1/s3/aws4_request";
    assert_eq!(sign_v4(SECRET, own, v4_text().as_bytes()), V4_SIGNATURE);
    for other in [
        "20260103/us-east-1/s3/aws4_request",
        "20260102/us-east-2/s3/aws4_request",
        "20260102/us-east-1/iam/aws4_request",
    ] {
        let signature = sign_v4(SECRET, other, v4_text().as_bytes());
        assert!(!parse(v4_text(), &signature).unwrap().verify(&secret()), "{other}");
    }
}

#[test]
fn token_is_base64_of_one_alphabet_with_or_without_padding() {
    // Bytes that need the characters in which the alphabets differ.
    let text = "PUT\n\u{7ff}\u{7fe}>>>???\n\n\n/~~~???>>>";
    let signature = sign_v1(SECRET, text.as_bytes());
    for encoding in [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD] {
        let token = encoding.encode(text.as_bytes());
        assert!(parse_token(&token, &signature).unwrap().verify(&secret()), "{token}");
    }
    let url = BASE64URL.encode(text.as_bytes());
    assert!(url.contains('-') && url.contains('_'));
    for bad in [
        "",
        "!",
        "====",
        "YQ=",
        &url.replace('-', "+"),
        &format!("{V1_TOKEN}\n"),
        &format!(" {V1_TOKEN}"),
        &format!("{V1_TOKEN}="),
        &V1_TOKEN[..83],
        &V1_TOKEN[..81],
        &V1_TOKEN.replace("UFVU", "UF\nVU"),
        &V1_TOKEN.replace("A==", "B=="),
    ] {
        assert_eq!(parse_token(bad, V1_SIGNATURE).unwrap_err(), SignatureError::Malformed, "{bad}");
    }
}

#[test]
fn version_4_string_to_sign_has_exactly_one_form() {
    let (date, scope) = ("20260102T030405Z", "20260102/us-east-1/s3/aws4_request");
    for service in ["s3", "iam", "sts"] {
        let scope = format!("20260102/any/{service}/aws4_request");
        assert!(parse(v4(date, &scope, EMPTY), "").is_ok());
    }
    for bad in [
        "AWS4".to_owned(),
        "AWS4-HMAC-SHA256".to_owned(),
        format!("{}\n", v4_text()),
        v4_text().replace('\n', "\r\n"),
        v4_text().replace("SHA256", "SHA512"),
        v4_text().replace("SHA256", "SHA256-PAYLOAD"),
        v4("20260103T030405Z", scope, EMPTY),
        v4("20260102", scope, EMPTY),
        v4("2026-01-02T03:04:05Z", scope, EMPTY),
        v4(date, "20260102/us-east-1/ec2/aws4_request", EMPTY),
        v4(date, "20260102/us-east-1/S3/aws4_request", EMPTY),
        v4(date, "20260102/us-east-1/s3", EMPTY),
        v4(date, "20260102/us-east-1/s3/aws4_request/x", EMPTY),
        v4(date, "AK/20260102/us-east-1/s3/aws4_request", EMPTY),
        v4(date, scope, ""),
        v4(date, scope, &EMPTY[..63]),
        v4(date, scope, &EMPTY.to_uppercase()),
        v4(date, scope, &EMPTY.replace('e', "g")),
    ] {
        assert_eq!(parse(&bad, V4_SIGNATURE).unwrap_err(), SignatureError::Malformed, "{bad}");
    }
}

#[test]
fn invalid_signature_never_verifies() {
    let [upper, cut] = [V4_SIGNATURE.to_uppercase(), V4_SIGNATURE[..62].to_owned()];
    for bad in ["", &upper, &cut, &format!("{V4_SIGNATURE}00"), V1_SIGNATURE, "ä"] {
        assert!(!parse(v4_text(), bad).unwrap().verify(&secret()), "{bad}");
    }
    let url = V1_SIGNATURE.replace('+', "-");
    let cut = &V1_SIGNATURE[..27];
    for bad in ["", cut, &format!("{url}="), &url.replace("M=", "N="), V4_SIGNATURE, "ä"] {
        assert!(!parse(V1, bad).unwrap().verify(&secret()), "{bad}");
    }
}

#[test]
fn date_of_older_version_is_where_s3_puts_it() {
    let freshness = |text: &str| parse(text, "").map(|request| request.freshness());
    for text in [
        "GET\n\n\nFri, 02 Jan 2026 03:04:05 GMT\n/b",
        "GET\n\n\nFri, 02 Jan 2026 03:04:05 +0000\n/b",
        "GET\n\n\n\nx-amz-acl:private\nx-amz-date:Fri, 02 Jan 2026 03:04:05 GMT\n/b",
        "GET\n\n\n\nx-amz-date:20260102T030405Z\n/b",
        "GET\n\n\nFri, 02 Jan 2026 03:04:05 GMT\nx-amz-date:Sat, 03 Jan 2026 03:04:05 GMT\n/b",
    ] {
        assert_eq!(freshness(text), Ok(Freshness::At(moment())), "{text}");
    }
    let presigned = parse("GET\n\n\n1767323045\n/b", "").unwrap();
    assert_eq!(presigned.freshness(), Freshness::Until(moment()));
    assert_eq!(presigned.signed_at(), None);
    for text in ["GET\n\n\n\n/b", "GET\n\n\n\nx-amz-acl:private\n/b", "GET\n\n\n\nx-amz-date:1"] {
        assert_eq!(freshness(text), Ok(Freshness::Unknown), "{text}");
    }
    for text in [
        "",
        "GET",
        "GET\n\n\n",
        "GET\n\n\nFri, 02 Jan 2026 03:04:05 GMT",
        "GET\n\n\nyesterday\n/b",
        "GET\n\n\n99999999999999999999\n/b",
        "GET\n\n\n-5\n/b",
        "GET\n\n\n\nx-amz-date:yesterday\n/b",
    ] {
        assert_eq!(freshness(text), Err(SignatureError::Malformed), "{text}");
    }
}

#[test]
fn request_expires_one_second_after_the_clock_skew() {
    let second = Duration::from_secs(1);
    for request in [parse(V1, V1_SIGNATURE).unwrap(), parse(v4_text(), V4_SIGNATURE).unwrap()] {
        assert!(is_fresh(request.freshness(), moment() + MAX_SKEW, MAX_SKEW));
        assert!(!is_fresh(request.freshness(), moment() + MAX_SKEW + second, MAX_SKEW));
        assert!(!is_fresh(request.freshness(), moment() - MAX_SKEW - second, MAX_SKEW));
    }
}

#[test]
fn decoy_costs_as_many_hash_blocks_as_a_wrong_signature() {
    let zeros = "0".repeat(64);
    for (text, wrong) in [(V1.to_owned(), "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), (v4_text(), &*zeros)] {
        let cost = |signature: &str, secret: &SecretKey| {
            let request = parse(&text, signature).unwrap();
            count::blocks_of(|| assert!(!request.verify(secret)))
        };
        let expected = cost(wrong, &secret());
        assert!(expected > 4);
        assert_eq!(cost(wrong, decoy()), expected);
        assert_eq!(cost("", &secret()), expected, "no signature");
        let long = SecretKey::from_stored("s".repeat(256));
        assert_eq!(cost(wrong, &long), expected, "the longest secret");
    }
}

#[test]
fn debug_shows_no_signature() {
    let request = parse(v4_text(), V4_SIGNATURE).unwrap();
    assert_eq!(format!("{request:?}"), "S3TokensRequest { access: AccessKey(\"access\"), .. }");
}

proptest! {
    #[test]
    fn parsing_a_request_never_panics(token in ".{0,80}", signature in ".{0,80}") {
        let _ = parse_token(&token, &signature);
    }

    #[test]
    fn parsing_a_string_to_sign_never_panics(
        start in prop_oneof![Just("AWS4"), Just("AWS4-HMAC-SHA256\n"), Just("GET\n\n\n"), Just("")],
        rest in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let text = [start.as_bytes(), &rest].concat();
        if let Ok(request) = parse(text, V1_SIGNATURE) {
            prop_assert!(!request.verify(decoy()));
        }
    }

    #[test]
    fn signed_request_verifies_and_every_changed_byte_fails(
        secret in "[!-~]{1,90}",
        region in "[a-z0-9-]{0,20}",
        service in prop_oneof![Just("s3"), Just("iam"), Just("sts")],
        hash in "[0-9a-f]{64}",
        resource in "/[ -~]{0,40}",
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let scope = format!("20260102/{region}/{service}/aws4_request");
        let new = v4("20260102T030405Z", &scope, &hash);
        let old = format!("GET\n\n\nFri, 02 Jan 2026 03:04:05 GMT\n{resource}");
        let cases =
            [(sign_v4(&secret, &scope, new.as_bytes()), new), (sign_v1(&secret, old.as_bytes()), old)];
        let key = SecretKey::from_stored(secret);
        for (signature, text) in cases {
            prop_assert!(parse(&text, &signature).unwrap().verify(&key));

            let mut bytes = text.clone().into_bytes();
            bytes[at.index(text.len())] ^= flip;
            prop_assert!(!parse(&bytes, &signature).is_ok_and(|request| request.verify(&key)));

            let mut bytes = signature.clone().into_bytes();
            bytes[at.index(signature.len())] ^= flip;
            let changed = String::from_utf8_lossy(&bytes);
            prop_assert!(!parse(&text, &changed).unwrap().verify(&key));
        }
    }
}
