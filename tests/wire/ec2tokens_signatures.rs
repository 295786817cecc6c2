//! `POST /v3/ec2tokens`: valid and invalid signatures of EC2-style requests.

use serde_json::{Value, json};

use crate::{
    ec2tokens::{BASIC, SCOPE, TIME, changed, signed_at, vectors},
    signer,
    world::v3::{ACCESS, EC2TOKENS, SECOND, SECRET, Signing, TTL, assert_refused},
};

#[tokio::test]
async fn t1_request_is_fresh_for_15_minutes_before_and_after_its_time() {
    for (version, body) in vectors() {
        let signing = Signing::new().await;
        signing.world.clock.advance(TTL);
        assert_eq!(signing.status(EC2TOKENS, &body).await, 200, "{version}");
        assert_eq!(signing.status(EC2TOKENS, &body).await, 200, "{version}: again");
        signing.world.clock.advance(SECOND);
        assert_refused(&signing.send(EC2TOKENS, &body).await, 401);
    }
    let signing = Signing::new().await;
    for (time, expected) in [
        (TIME, 200),
        ("2026-01-02T03:19:05Z", 200),
        ("2026-01-02T03:19:06Z", 401),
        ("2026-01-02T02:49:05Z", 200),
        ("2026-01-02T02:49:04Z", 401),
    ] {
        for body in signed_at(ACCESS, SECRET, time) {
            assert_eq!(signing.status(EC2TOKENS, &body).await, expected, "{body}");
        }
    }
}

#[tokio::test]
async fn t1_request_without_a_valid_signed_date_is_401() {
    let signing = Signing::new().await;
    // A valid signature without a time.
    let text = "ActionDescribeSignatureVersion1";
    let undated = json!({"credentials": {
        "access": ACCESS, "signature": signer::sha1(SECRET, text),
        "params": {"Action": "Describe", "SignatureVersion": "1"},
    }});
    assert_refused(&signing.send(EC2TOKENS, &undated).await, 401);
    // The header is not signed: a client who replays the request could replace it.
    let mut dated = undated;
    dated["credentials"]["headers"] = json!({"X-Amz-Date": BASIC});
    assert_refused(&signing.send(EC2TOKENS, &dated).await, 401);
    for time in ["now", "", "1767323045", "2026-01-02", "Fri, 02 Jan 2026 03:04:05 GMT"] {
        for version in 0..3 {
            let body = signer::ec2_old(version, ACCESS, SECRET, time);
            assert_eq!(signing.status(EC2TOKENS, &body).await, 401, "{version} {time}");
        }
    }
    // An unsigned time does not make an old request fresh.
    let mut replayed =
        signer::ec2_v4(ACCESS, SECRET, "20250102T030405Z", "20250102/RegionOne/ec2/aws4_request");
    replayed["credentials"]["verb"] = "POST".into();
    replayed["credentials"]["params"]["Timestamp"] = TIME.into();
    assert_eq!(signing.status(EC2TOKENS, &replayed).await, 401);
}

#[tokio::test]
async fn t1_change_of_a_signed_member_invalidates_the_signature() {
    let signing = Signing::new().await;
    let authorization = |credential: &str| -> Value {
        format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature=x"
        )
        .into()
    };
    for (version, changes) in [
        ("0", &[("/params/Action", json!("RunInstances"))][..]),
        ("0", &[("/params/Timestamp", json!("2026-01-02T03:04:06Z"))]),
        ("1", &[("/params/Version", json!("2016-11-16"))]),
        ("1", &[("/params/More", json!(""))]),
        ("2", &[("/params/Version", Value::Null)]),
        ("2", &[("/params/Filter.1.Value", json!("a+b/c~d*e"))]),
        ("2", &[("/verb", json!("POST"))]),
        ("2", &[("/verb", json!("get"))]),
        ("2", &[("/host", json!("other.example.test:8773"))]),
        ("2", &[("/host", json!("cloud.example.test"))]),
        ("2", &[("/path", json!("/services/cloud"))]),
        ("4", &[("/path", json!("/"))]),
        ("4", &[("/verb", json!("PUT"))]),
        ("4", &[("/body_hash", json!("0".repeat(64)))]),
        ("4", &[("/params/Action", json!("RunInstances"))]),
        ("4", &[("/headers/Host", json!("other.example.test:8773"))]),
        ("4", &[("/headers/X-Amz-Date", json!("20260102T030406Z"))]),
        ("4", &[("/headers/X-Amz-Date", json!("20260103T030405Z"))]),
        ("4", &[("/headers/Authorization", authorization(&format!("other/{SCOPE}")))]),
        (
            "4",
            &[(
                "/headers/Authorization",
                authorization(&format!("{ACCESS}/20260101/RegionOne/ec2/aws4_request")),
            )],
        ),
        (
            "4",
            &[(
                "/headers/Authorization",
                authorization(&format!("{ACCESS}/20260102/RegionTwo/ec2/aws4_request")),
            )],
        ),
        (
            "4",
            &[(
                "/headers/Authorization",
                authorization(&format!("{ACCESS}/20260102/RegionOne/s3/aws4_request")),
            )],
        ),
        ("4", &[("/headers/Authorization", authorization(ACCESS))]),
        ("4", &[("/headers/Authorization", json!("AWS4-HMAC-SHA256"))]),
        ("4", &[("/headers/host", json!("another"))]),
    ] {
        let body = changed(version, changes);
        let answer = signing.send(EC2TOKENS, &body).await;
        assert_eq!(answer.status, 401, "{version} {changes:?}");
        assert_refused(&answer, 401);
        assert!(!answer.headers.contains_key("x-subject-token"));
    }
    for (version, changes) in [
        ("2", &[("/params/SignatureMethod", json!("HmacSHA1"))][..]),
        ("2", &[("/params/Signature", json!("x"))]),
        ("4", &[("/host", json!("elsewhere"))]),
        ("4", &[("/verb", json!("get"))]),
        ("4", &[("/secret", json!("ignored"))]),
    ] {
        let body = changed(version, changes);
        assert_eq!(signing.status(EC2TOKENS, &body).await, 200, "{version} {changes:?}");
    }
    let without_port = "a5U5ccE5hyvF9PWZ6M6JtJoonq/m1am83DllmY0QAzM=";
    let body = changed("2", &[("/signature", without_port.into())]);
    assert_eq!(signing.status(EC2TOKENS, &body).await, 200, "signed without the port");
}

#[tokio::test]
async fn t1_malformed_signatures_are_401() {
    let signing = Signing::new().await;
    for (version, body) in vectors() {
        let good = body["credentials"]["signature"].as_str().unwrap().to_owned();
        for bad in [
            String::new(),
            "=".into(),
            good[1..].into(),
            format!("{good} "),
            format!(" {good}"),
            format!("{good}0"),
            good.replace('4', "5").replace('9', "8").replace('p', "q"),
            good.to_uppercase(),
            good.replace('=', ""),
            "\u{e9}".repeat(22),
        ] {
            if bad == good {
                continue;
            }
            let body = changed(version, &[("/signature", bad.clone().into())]);
            assert_eq!(signing.status(EC2TOKENS, &body).await, 401, "{version} {bad}");
        }
    }
    for secret in ["", "wrong"] {
        for body in signed_at(ACCESS, secret, TIME) {
            assert_eq!(signing.status(EC2TOKENS, &body).await, 401, "{body}");
        }
    }
}
