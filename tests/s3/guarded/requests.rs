//! Signed requests that pass the guard, and requests that it refuses.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body_util::{Empty, Full};
use sha1::Sha1;
use tower_credentials::{clock::Clock, s3::Anonymous, signature::request::S3ErrorCode};

use super::Guarded;
use crate::{
    aws_signer::Signer,
    gate::{ACCESS, SECRET, request},
};

pub(super) type Sent = Request<Empty<Bytes>>;

fn get() -> Sent {
    request("GET", "/photos/cat.jpg").body(Empty::new()).unwrap()
}

/// Signs this text with version 2.
fn sign_v2(text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    BASE64.encode(&mac.finalize().into_bytes())
}

pub(super) fn header_v2(time: SystemTime) -> Sent {
    let date = httpdate::fmt_http_date(time);
    let signature = sign_v2(&format!("GET\n\n\n{date}\n/photos/cat.jpg"));
    request("GET", "/photos/cat.jpg")
        .header("date", date)
        .header("authorization", format!("AWS {ACCESS}:{signature}"))
        .body(Empty::new())
        .unwrap()
}

fn presigned_v2(end: SystemTime) -> Sent {
    let end = end.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signature = sign_v2(&format!("GET\n\n\n{end}\n/photos/cat.jpg"));
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let query = format!("AWSAccessKeyId={ACCESS}&Expires={end}&Signature={signature}");
    request("GET", &format!("/photos/cat.jpg?{query}")).body(Empty::new()).unwrap()
}

fn cat() -> (String, String, String) {
    ("photos".into(), "cat.jpg".into(), String::new())
}

#[tokio::test]
async fn signed_requests_of_every_accepted_kind_reach_the_store() {
    let guarded = Guarded::now_with(|builder| builder.signature_v2(true)).await;
    let now = guarded.clock.now();
    let signer = guarded.signer();
    let week = Duration::from_hours(7 * 24);
    for (what, signed) in [
        ("a header of version 4", signer.sign(get()).0),
        ("a URL of version 4", signer.clone().presigning(week).sign(get()).0),
        ("a header of version 2", header_v2(now)),
        ("a URL of version 2", presigned_v2(now + week - Duration::from_secs(5))),
    ] {
        let answer = guarded.send(signed).await;
        assert!(answer.status.is_success(), "{what}: {answer:?}");
        assert_eq!(answer.passed(), cat(), "{what}");
    }
    let put = request("PUT", "/photos/cat.jpg").header("content-length", "4");
    let (put, _) = signer.body("meow").sign(put.body(Full::new(Bytes::from("meow"))).unwrap());
    assert_eq!(guarded.send(put).await.passed().2, "meow");
}

#[tokio::test]
async fn version_2_is_refused_unless_accepted() {
    let guarded = Guarded::now().await;
    let now = guarded.clock.now();
    for signed in [header_v2(now), presigned_v2(now + Duration::from_mins(1))] {
        assert_eq!(guarded.send_unguarded(signed.clone()).await.passed(), cat());
        guarded.send(signed).await.refused(S3ErrorCode::InvalidRequest);
    }
}

#[tokio::test]
async fn version_2_subresources_that_s3s_leaves_unsigned_are_refused() {
    let guarded = Guarded::now_with(|builder| builder.signature_v2(true)).await;
    let now = guarded.clock.now();
    let week = Duration::from_hours(7 * 24 - 1);
    for name in ["encryption", "legal-hold", "retention"] {
        for mut signed in [header_v2(now), presigned_v2(now + week)] {
            let uri = signed.uri().to_string();
            let and = if uri.contains('?') { '&' } else { '?' };
            *signed.uri_mut() = format!("{uri}{and}{name}").parse().unwrap();
            guarded.send(signed).await.refused(S3ErrorCode::InvalidRequest);
        }
    }
    let mut signed = header_v2(now);
    *signed.uri_mut() = "/photos/cat.jpg?%65ncryption".parse().unwrap();
    guarded.send(signed).await.refused(S3ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn old_version_2_requests_and_long_lived_urls_are_refused() {
    let guarded = Guarded::now_with(|builder| builder.signature_v2(true)).await;
    let now = guarded.clock.now();
    let minute = Duration::from_mins(1);
    let in_2016 = UNIX_EPOCH + Duration::from_secs(1_456_789_012);
    let skewed = S3ErrorCode::RequestTimeTooSkewed;
    for (signed, code) in [
        (header_v2(in_2016), skewed),
        (header_v2(now - 16 * minute), skewed),
        (header_v2(now + 16 * minute), skewed),
        (presigned_v2(now + Duration::from_hours(7 * 24 + 1)), S3ErrorCode::AccessDenied),
        (presigned_v2(now + Duration::from_hours(10 * 365 * 24)), S3ErrorCode::AccessDenied),
    ] {
        assert_eq!(guarded.send_unguarded(signed.clone()).await.passed(), cat());
        guarded.send(signed).await.refused(code);
    }
    guarded.send(presigned_v2(now - minute)).await.refused(S3ErrorCode::AccessDenied);
}

#[tokio::test]
async fn requests_signed_more_than_15_minutes_off_are_refused() {
    let guarded = Guarded::new().await;
    let now = guarded.clock.now();
    let second = Duration::from_secs(1);
    for time in [now - 901 * second, now + 901 * second, now - 86_400 * second] {
        let (signed, _) = Signer { time, ..guarded.signer() }.sign(get());
        assert_eq!(guarded.send_unguarded(signed.clone()).await.passed(), cat());
        guarded.send(signed).await.refused(S3ErrorCode::RequestTimeTooSkewed);
    }
    for time in [now - 900 * second, now + 900 * second] {
        guarded.send(Signer { time, ..guarded.signer() }.sign(get()).0).await.passed();
    }
    let strict = Guarded::with(|builder| builder.max_skew(Duration::from_mins(1))).await;
    let (signed, _) = Signer { time: now - 61 * second, ..strict.signer() }.sign(get());
    strict.send(signed).await.refused(S3ErrorCode::RequestTimeTooSkewed);
}

#[tokio::test]
async fn expired_early_or_overlong_presigned_urls_are_refused() {
    let guarded = Guarded::now().await;
    let now = guarded.clock.now();
    let day = Duration::from_hours(24);
    let sign = |time, life| {
        let signer = Signer { time, ..guarded.signer() };
        signer.presigning(life).sign(get()).0
    };
    let too_long = S3ErrorCode::AuthorizationQueryParametersError;
    for (signed, code) in [
        (sign(now, 8 * day), too_long),
        // Signed 30 days ago, with a lifetime of 34 days.
        (sign(now - 30 * day, 34 * day), too_long),
        (sign(now + Duration::from_mins(16), day), S3ErrorCode::AccessDenied),
    ] {
        assert_eq!(guarded.send_unguarded(signed.clone()).await.passed(), cat());
        guarded.send(signed).await.refused(code);
    }
    let expired = sign(now - Duration::from_mins(2), Duration::from_mins(1));
    guarded.send(expired).await.refused(S3ErrorCode::AccessDenied);
}

#[tokio::test]
async fn signatures_for_other_regions_and_services_are_refused() {
    let guarded = Guarded::now_with(|builder| builder.regions(["eu-1", "eu-2"])).await;
    let header = S3ErrorCode::AuthorizationHeaderMalformed;
    let query = S3ErrorCode::AuthorizationQueryParametersError;
    for (region, service, good) in [
        ("eu-1", "s3", true),
        ("eu-2", "s3", true),
        ("us-east-1", "s3", false),
        ("eu-1", "sts", false),
    ] {
        let mut signer = guarded.signer();
        (signer.region, signer.service) = (region.into(), service.into());
        let presigning = signer.clone().presigning(Duration::from_mins(1));
        for (signed, code) in [(signer.sign(get()).0, header), (presigning.sign(get()).0, query)] {
            if good {
                guarded.send(signed).await.passed();
            } else {
                assert_eq!(guarded.send_unguarded(signed.clone()).await.passed(), cat());
                guarded.send(signed).await.refused(code);
            }
        }
    }
}

#[tokio::test]
async fn requests_with_session_tokens_are_refused() {
    let guarded = Guarded::now_with(|builder| builder.signature_v2(true)).await;
    let with_token = || {
        let request = request("GET", "/photos/cat.jpg").header("x-amz-security-token", "token");
        request.body(Empty::<Bytes>::new()).unwrap()
    };
    let in_query = || {
        let target = "/photos/cat.jpg?X-Amz-Security-Token=token";
        request("GET", target).body(Empty::<Bytes>::new()).unwrap()
    };
    let signer = guarded.signer();
    let presigning = signer.clone().presigning(Duration::from_mins(1));
    for signed in [
        signer.sign(with_token()).0,
        presigning.sign(with_token()).0,
        presigning.sign(in_query()).0,
        signer.sign(in_query()).0,
    ] {
        guarded.send_unguarded(signed.clone()).await.passed();
        let answer = guarded.send(signed).await;
        assert!(matches!(
            answer.guard,
            Some(S3ErrorCode::InvalidToken | S3ErrorCode::InvalidArgument)
        ));
        assert!(answer.stored.is_none());
    }
    guarded.send(presigning.sign(in_query()).0).await.refused(S3ErrorCode::InvalidToken);
}

#[tokio::test]
async fn other_algorithm_names_in_the_header_are_refused() {
    let guarded = Guarded::now().await;
    for name in ["Bearer", "HMAC", "AWS4-HMAC-SHA512", "aws4-hmac-sha256"] {
        let (mut signed, _) = guarded.signer().sign(get());
        let value = signed.headers()["authorization"].to_str().unwrap();
        let value = value.replace("AWS4-HMAC-SHA256", name).parse().unwrap();
        signed.headers_mut().insert("authorization", value);
        // `s3s` ignores the name.
        assert_eq!(guarded.send_unguarded(signed.clone()).await.passed(), cat());
        let answer = guarded.send(signed).await;
        assert!(answer.guard.is_some() && answer.stored.is_none(), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn guard_refuses_what_the_layers_parser_refuses() {
    let guarded = Guarded::now().await;
    let target = "/photos/cat.jpg?partNumber=1&x=1";
    let (signed, _) =
        guarded.signer().sign(request("GET", target).body(Empty::<Bytes>::new()).unwrap());
    let mut doubled = signed.clone();
    *doubled.uri_mut() = format!("{target}&x=2").parse().unwrap();
    guarded.send(doubled).await.refused(S3ErrorCode::InvalidArgument);

    let mut unsigned = signed.clone();
    unsigned.headers_mut().insert("x-amz-acl", "public-read".parse().unwrap());
    assert_eq!(guarded.send_unguarded(unsigned.clone()).await.passed(), cat());
    guarded.send(unsigned).await.refused(S3ErrorCode::AccessDenied);

    let mut twice = signed.clone();
    *twice.uri_mut() = format!("{target}&X-Amz-Signature=x").parse().unwrap();
    guarded.send(twice).await.refused(S3ErrorCode::InvalidArgument);
    guarded.send(signed).await.passed();
}

#[tokio::test]
async fn unsigned_requests_are_up_to_s3s_unless_refused() {
    let guarded = Guarded::now().await;
    guarded.send(get()).await.refused_by_s3s("AccessDenied");
    let strict = Guarded::now_with(|builder| builder.anonymous(Anonymous::Refuse)).await;
    strict.send(get()).await.refused(S3ErrorCode::AccessDenied);
    strict.send(strict.signer().sign(get()).0).await.passed();
}

#[tokio::test]
async fn wrong_secret_and_unknown_key_are_refused_by_s3s() {
    let guarded = Guarded::now().await;
    let wrong = Signer { secret: "wrong".into(), ..guarded.signer() };
    guarded.send(wrong.sign(get()).0).await.refused_by_s3s("SignatureDoesNotMatch");
    let unknown = Signer { access: "NOBODY".into(), ..guarded.signer() };
    guarded.send(unknown.sign(get()).0).await.refused_by_s3s("InvalidAccessKeyId");
}
