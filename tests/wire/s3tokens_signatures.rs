//! `POST /v3/s3tokens`: valid and invalid signatures of S3 requests.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};

use crate::{
    s3tokens::{DATE, SCOPE, TIME, V1_SIGNATURE, V1_TOKEN, V4_SIGNATURE, credentials, v1, v4},
    signer::{self, EMPTY},
    world::v3::{ACCESS, S3TOKENS, SECOND, SECRET, Signing, TTL, assert_refused},
};

#[tokio::test]
async fn t2_request_is_fresh_for_15_minutes_before_and_after_its_time() {
    for body in [v1(), v4()] {
        let signing = Signing::new().await;
        signing.world.clock.advance(TTL);
        assert_eq!(signing.status(S3TOKENS, &body).await, 200, "{body}");
        signing.world.clock.advance(SECOND);
        assert_refused(&signing.send(S3TOKENS, &body).await, 401);
    }
    let signing = Signing::new().await;
    for (time, date, expected) in [
        ("20260102T031905Z", "Fri, 02 Jan 2026 03:19:05 GMT", 200),
        ("20260102T031906Z", "Fri, 02 Jan 2026 03:19:06 GMT", 401),
        ("20260102T024905Z", "Fri, 02 Jan 2026 02:49:05 +0000", 200),
        ("20260102T024904Z", "Fri, 02 Jan 2026 02:49:04 GMT", 401),
    ] {
        let new = signer::s3_v4(ACCESS, SECRET, time, SCOPE);
        assert_eq!(signing.status(S3TOKENS, &new).await, expected, "{time}");
        let old = signer::s3_v1(ACCESS, SECRET, date);
        assert_eq!(signing.status(S3TOKENS, &old).await, expected, "{date}");
    }
}

#[tokio::test]
async fn t2_old_presigned_request_is_valid_until_it_expires_and_for_at_most_a_week() {
    let signing = Signing::new().await;
    let now = 1_767_323_045;
    for (expires, expected) in [
        (now, 200),
        (now - 1, 401),
        (now + 604_800, 200),
        (now + 604_801, 401),
        (u64::MAX, 401),
        (0, 401),
    ] {
        let body = signer::s3_v1(ACCESS, SECRET, &expires.to_string());
        assert_eq!(signing.status(S3TOKENS, &body).await, expected, "{expires}");
    }
}

#[tokio::test]
async fn t2_request_without_a_valid_date_is_401() {
    let signing = Signing::new().await;
    assert_eq!(signing.status(S3TOKENS, &signer::s3_v1(ACCESS, SECRET, "")).await, 401);
    let dated = format!("GET\n\n\n\nx-amz-date:{DATE}\n/bucket");
    for (text, expected) in [
        (dated.clone(), 200),
        (dated.replace("03:04", "02:04"), 401),
        (dated.replace("x-amz-date", "x-amz-data"), 401),
        (format!("GET\n\n\n\n/bucket\nx-amz-date:{DATE}"), 401),
        ("GET\n\n\nyesterday\n/bucket".into(), 401),
        (format!("GET\n\n\n{DATE}"), 401),
        ("GET".into(), 401),
        (String::new(), 401),
    ] {
        let body = signer::s3_body(ACCESS, &text, &signer::sha1(SECRET, &text));
        assert_eq!(signing.status(S3TOKENS, &body).await, expected, "{text}");
    }
}

#[tokio::test]
async fn t2_signature_is_valid_for_its_key_day_region_and_service_only() {
    let signing = Signing::new().await;
    let text = |time: &str, scope: &str| format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{EMPTY}");
    for service in ["s3", "iam", "sts"] {
        let scope = SCOPE.replace("/s3/", &format!("/{service}/"));
        let body = signer::s3_v4(ACCESS, SECRET, TIME, &scope);
        assert_eq!(signing.status(S3TOKENS, &body).await, 200, "{service}");
    }
    for (other, why) in [
        ("20260101/us-east-1/s3/aws4_request", "day"),
        ("20260102/us-east-2/s3/aws4_request", "region"),
        ("20260102/us-east-1/iam/aws4_request", "service"),
    ] {
        let signature = signer::v4(SECRET, other, &text(TIME, SCOPE));
        let body = signer::s3_body(ACCESS, &text(TIME, SCOPE), &signature);
        assert_refused(&signing.send(S3TOKENS, &body).await, 401);
        let body = signer::s3_body(ACCESS, &text(TIME, other), V4_SIGNATURE);
        assert_eq!(signing.status(S3TOKENS, &body).await, 401, "{why}");
    }
    for secret in ["", "0f1e", &*SECRET.to_uppercase()] {
        for body in
            [signer::s3_v4(ACCESS, secret, TIME, SCOPE), signer::s3_v1(ACCESS, secret, DATE)]
        {
            assert_eq!(signing.status(S3TOKENS, &body).await, 401, "{secret}");
        }
    }
    // A valid signature, but not of a string to sign of S3.
    for (time, scope) in [
        (TIME, "20260102/us-east-1/ec2/aws4_request"),
        (TIME, "20260102/us-east-1/S3/aws4_request"),
        (TIME, "20260102/us-east-1/s3/aws4_requesx"),
        (TIME, "20260102/us-east-1/s3"),
        (TIME, "20260102/us-east-1/s3/x/aws4_request"),
        (TIME, "2026010/us-east-1/s3/aws4_request"),
        (TIME, "20260103/us-east-1/s3/aws4_request"),
        ("2026-01-02T03:04:05Z", SCOPE),
        (DATE, SCOPE),
        ("", SCOPE),
    ] {
        let body = signer::s3_v4(ACCESS, SECRET, time, scope);
        assert_eq!(signing.status(S3TOKENS, &body).await, 401, "{time} {scope}");
    }
    for bad in [
        format!("{}\n", text(TIME, SCOPE)),
        format!("{}\nx", text(TIME, SCOPE)),
        text(TIME, SCOPE).replace("HMAC-SHA256", "HMAC-SHA1"),
        text(TIME, SCOPE).replace(EMPTY, ""),
        text(TIME, SCOPE).replace(EMPTY, &EMPTY.to_uppercase()),
        text(TIME, SCOPE).replace('\n', "\r\n"),
        format!("AWS4-HMAC-SHA256\n{TIME}\n{SCOPE}"),
        "AWS4".into(),
    ] {
        let body = signer::s3_body(ACCESS, &bad, &signer::v4(SECRET, SCOPE, &bad));
        assert_eq!(signing.status(S3TOKENS, &body).await, 401, "{bad}");
    }
}

#[tokio::test]
async fn t2_both_base64_alphabets_are_accepted_and_other_text_is_401() {
    let signing = Signing::new().await;
    let text = format!("GET\n\n\n{DATE}\n/b/\u{ff}\u{fe}?>");
    let signature = signer::sha1(SECRET, &text);
    for encoding in [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD] {
        let body = credentials(&encoding.encode(text.as_bytes()), &signature);
        assert_eq!(signing.status(S3TOKENS, &body).await, 200);
    }
    for token in ["%%%", "A", "====", "+-", &format!(" {V1_TOKEN}"), &V1_TOKEN[1..], "", "\u{e9}"] {
        let body = credentials(token, V1_SIGNATURE);
        assert_refused(&signing.send(S3TOKENS, &body).await, 401);
    }
    for bad in [
        "",
        "=",
        "x",
        &V1_SIGNATURE[..27],
        &V1_SIGNATURE.replace('0', "1"),
        &format!("{V1_SIGNATURE} "),
        &V1_SIGNATURE.to_lowercase(),
        V4_SIGNATURE,
        "\u{e9}",
    ] {
        let body = credentials(V1_TOKEN, bad);
        assert_refused(&signing.send(S3TOKENS, &body).await, 401);
    }
    for bad in [
        String::new(),
        V4_SIGNATURE.to_uppercase(),
        V4_SIGNATURE[1..].to_owned(),
        format!("{V4_SIGNATURE}0"),
        V4_SIGNATURE.replace('3', "4"),
        V4_SIGNATURE.replace('3', "g"),
        format!(" {V4_SIGNATURE}"),
        V1_SIGNATURE.into(),
        "0".repeat(64),
    ] {
        let mut body = v4();
        body["credentials"]["signature"] = bad.into();
        assert_refused(&signing.send(S3TOKENS, &body).await, 401);
    }
}
