//! T2: validating signatures of S3 requests.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use serde_json::{Value, json};
use tower_credentials::{CredentialLayer, ErrorKind, backend::memory::MemoryBackend};

use crate::common::{
    BOB, DEMO, World,
    signer::{self, EMPTY},
    v3::{
        ACCESS, S3TOKENS, SECOND, SECRET, Signing, TTL, assert_refused, blob_of, ec2, make, opaque,
        pair_of, tokens, world,
    },
};

/// The published vector of the old kind.
const V1_TOKEN: &str =
    "UFVUCgp0ZXh0L3BsYWluCkZyaSwgMDIgSmFuIDIwMjYgMDM6MDQ6MDUgR01UCi9idWNrZXQva2V5LnR4dA==";
const V1_SIGNATURE: &str = "0Q01BaiWNDGJzN9QznvT8QyhRQM=";
/// That of version 4, over the hash of nothing.
const V4_SIGNATURE: &str = "391347df4530b0f3ce21b1cbfc29c3ba5613027fc0f336c7ea363ff6cb392caa";

const TIME: &str = "20260102T030405Z";
const SCOPE: &str = "20260102/us-east-1/s3/aws4_request";
const DATE: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

fn credentials(token: &str, signature: &str) -> Value {
    json!({"credentials": {"access": ACCESS, "token": token, "signature": signature}})
}

fn v1() -> Value {
    credentials(V1_TOKEN, V1_SIGNATURE)
}

fn v4() -> Value {
    let text = format!("AWS4-HMAC-SHA256\n{TIME}\n{SCOPE}\n{EMPTY}");
    credentials(&BASE64URL.encode(text.as_bytes()), V4_SIGNATURE)
}

/// T2.
#[tokio::test]
async fn t2_tells_who_signed_and_gives_no_token() {
    let signing = Signing::new().await;
    for body in [v1(), v4()] {
        let answer = signing.ask(S3TOKENS, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.headers.contains_key("x-subject-token"));
        let mut body = answer.json();
        let token = body["token"].as_object_mut().unwrap();
        let audit_ids = token.remove("audit_ids").unwrap();
        assert_eq!(audit_ids[0].as_str().unwrap().len(), 22);
        let domain = json!({"id": "default", "name": "Default"});
        assert_eq!(
            body,
            json!({"token": {
                "methods": ["ec2credential"],
                "user": {
                    "id": BOB, "name": "bob", "domain": domain, "password_expires_at": null,
                },
                "project": {"id": DEMO, "name": "demo", "domain": domain},
                "is_domain": false,
                "roles": [{"id": "member", "name": "member"}],
                "issued_at": "2026-01-02T03:04:05.000000Z",
                "expires_at": "2026-01-02T04:04:05.000000Z",
                "catalog": [],
            }})
        );
        assert!(!answer.text().contains(SECRET) && answer.text().ends_with("}\n"));
    }
    assert!(signing.desk.signers().is_empty(), "nothing was issued");
}

/// T2.
#[tokio::test]
async fn t2_is_for_services_and_admins() {
    let Signing { world, .. } = Signing::new().await;
    for (token, expected) in [
        ("dev-service", 200),
        ("service-elsewhere", 200),
        ("dev-admin", 200),
        ("system-admin", 200),
        ("trust-service", 200),
        ("dev-bob", 403),
        ("dev-alice", 403),
        ("system-reader", 403),
        ("ec2-service", 403),
        ("ec2-admin", 403),
    ] {
        // What is wrong with the body is told only to who may ask.
        for (body, status) in [(v4(), expected), (json!({}), expected.max(400))] {
            let answer = world.post(S3TOKENS).token(token).json(&body).send().await;
            assert_eq!(answer.status, status, "{token} {body}");
            if status == 403 {
                assert_refused(&answer, 403);
                assert!(answer.text().contains("identity:s3tokens_validate."));
            }
        }
    }
    assert_refused(&world.post(S3TOKENS).json(&v4()).send().await, 401);
}

/// T2.
#[tokio::test]
async fn t2_may_be_asked_the_same_again_and_again() {
    let signing = Signing::new().await;
    for _ in 0..5 {
        assert_eq!(signing.status(S3TOKENS, &v4()).await, 200);
        assert_eq!(signing.status(S3TOKENS, &v1()).await, 200);
    }
}

/// T2.
#[tokio::test]
async fn t2_a_request_is_fresh_for_a_quarter_of_an_hour_before_and_after() {
    for body in [v1(), v4()] {
        let signing = Signing::new().await;
        signing.world.clock.advance(TTL);
        assert_eq!(signing.status(S3TOKENS, &body).await, 200, "{body}");
        signing.world.clock.advance(SECOND);
        assert_refused(&signing.ask(S3TOKENS, &body).await, 401);
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

/// T2.
#[tokio::test]
async fn t2_an_old_presigned_request_is_good_until_it_expires_but_not_for_longer_than_a_week() {
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

/// T2.
#[tokio::test]
async fn t2_a_request_that_is_not_dated_is_refused() {
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

/// T2.
#[tokio::test]
async fn t2_a_signature_is_good_for_its_key_day_region_and_service_only() {
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
        assert_refused(&signing.ask(S3TOKENS, &body).await, 401);
        let said = signer::s3_body(ACCESS, &text(TIME, other), V4_SIGNATURE);
        assert_eq!(signing.status(S3TOKENS, &said).await, 401, "{why}");
    }
    for (secret, what) in [("", "none"), ("0f1e", "part"), (&*SECRET.to_uppercase(), "capitals")] {
        for body in
            [signer::s3_v4(ACCESS, secret, TIME, SCOPE), signer::s3_v1(ACCESS, secret, DATE)]
        {
            assert_eq!(signing.status(S3TOKENS, &body).await, 401, "{what}");
        }
    }
    // Well signed, but not what S3 signs.
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

/// T2.
#[tokio::test]
async fn t2_base64_of_either_alphabet_is_taken_and_what_is_none_is_401() {
    let signing = Signing::new().await;
    let text = format!("GET\n\n\n{DATE}\n/b/\u{ff}\u{fe}?>");
    let signature = signer::sha1(SECRET, &text);
    for encoding in [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD] {
        let body = credentials(&encoding.encode(text.as_bytes()), &signature);
        assert_eq!(signing.status(S3TOKENS, &body).await, 200);
    }
    for token in ["%%%", "A", "====", "+-", &format!(" {V1_TOKEN}"), &V1_TOKEN[1..], "", "\u{e9}"] {
        let body = credentials(token, V1_SIGNATURE);
        assert_refused(&signing.ask(S3TOKENS, &body).await, 401);
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
        assert_refused(&signing.ask(S3TOKENS, &body).await, 401);
    }
    for bad in [
        "".into(),
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
        assert_refused(&signing.ask(S3TOKENS, &body).await, 401);
    }
}

/// T2.
#[tokio::test]
async fn t2_says_400_to_what_is_no_request_and_401_to_what_names_no_key() {
    let signing = Signing::new().await;
    let good = v4()["credentials"].clone();
    let with = |name: &str, value: Value| {
        let mut members = good.clone();
        members[name] = value;
        json!({ "credentials": members })
    };
    let without = |name: &str| {
        let mut members = good.clone();
        members.as_object_mut().unwrap().remove(name);
        json!({ "credentials": members })
    };
    for (body, status) in [
        (json!({}), 400),
        (json!([]), 400),
        (json!("x"), 400),
        (without("token"), 400),
        (without("signature"), 400),
        (with("token", Value::Null), 400),
        (with("token", 7.into()), 400),
        (with("signature", json!([V4_SIGNATURE])), 400),
        (with("access", 7.into()), 400),
        (without("access"), 401),
        (with("access", Value::Null), 401),
        (with("access", "".into()), 401),
        (json!({"credentials": {}}), 401),
        (json!({"credentials": "abc"}), 401),
        (json!({ "credentials": [good] }), 401),
        (json!({"credentials": null}), 401),
        (json!({ "other": good }), 401),
        (json!({ "credential": good }), 200),
        (json!({ "ec2Credentials": good }), 200),
        (json!({ "credentials": {}, "ec2Credentials": good }), 200),
        (json!({ "credentials": {"access": "x"}, "credential": good }), 400),
    ] {
        let answer = signing.ask(S3TOKENS, &body).await;
        assert_eq!(answer.status, status, "{body}");
        if status != 200 {
            assert_refused(&answer, status);
        }
    }
    assert_refused(&signing.world.post(S3TOKENS).token("dev-service").send().await, 400);
    let broken = signing.world.post(S3TOKENS).token("dev-service");
    assert_refused(&broken.text("application/json", "{\"credentials\":").send().await, 400);
}

/// T2.
#[tokio::test]
async fn t2_an_unknown_key_is_404_and_one_that_is_of_no_use_401() {
    let signing = Signing::new().await;
    let world = &signing.world;
    make(world, &pair_of(BOB, DEMO, r#"{"access":"secretless"}"#)).await;
    make(world, &opaque(BOB, "cert", &blob_of("certified", SECRET))).await;
    let mut projectless = ec2(BOB, DEMO, "projectless");
    projectless["credential"]["project_id"] = Value::Null;
    make(world, &projectless).await;
    world.mint(BOB, DEMO, "inactive").await;
    let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
    world.patch("/credentials/inactive").token("dev-bob").json(&disable).send().await;
    for (access, secret, status) in [
        ("unknown", SECRET, 404),
        ("certified", SECRET, 404),
        ("secretless", "", 401),
        ("secretless", SECRET, 401),
        ("projectless", "secret-of-projectless", 401),
        ("inactive", "secret-of-inactive", 401),
        ("inactive", "wrong", 401),
    ] {
        for body in
            [signer::s3_v4(access, secret, TIME, SCOPE), signer::s3_v1(access, secret, DATE)]
        {
            let answer = signing.ask(S3TOKENS, &body).await;
            assert_eq!(answer.status, status, "{access}");
            assert_refused(&answer, status);
        }
    }
    // An old request does not tell whether a key is there.
    let old = signer::s3_v4("unknown", SECRET, "20250102T030405Z", &SCOPE.replace("2026", "2025"));
    assert_eq!(signing.status(S3TOKENS, &old).await, 404);
    let deleted = world.delete("/credentials/inactive").token("dev-bob").send().await;
    assert_eq!(deleted.status, 204);
    let body = signer::s3_v4("inactive", "secret-of-inactive", TIME, SCOPE);
    assert_eq!(signing.status(S3TOKENS, &body).await, 404);
}

/// T2.
#[tokio::test]
async fn t2_follows_what_becomes_of_user_project_and_roles() {
    let signing = Signing::new().await;
    let registry = &signing.registry;
    let status = async || signing.status(S3TOKENS, &v4()).await;
    registry.set_user(BOB, Some(false));
    assert_eq!(status().await, 401);
    registry.set_user(BOB, None);
    assert_eq!(status().await, 404);
    registry.set_user(BOB, Some(true));
    registry.set_project(DEMO, Some(false));
    assert_eq!(status().await, 401);
    registry.set_project(DEMO, None);
    assert_eq!(status().await, 404);
    registry.set_project(DEMO, Some(true));
    registry.set_roles(BOB, DEMO, &[]);
    assert_eq!(status().await, 401);
    registry.set_roles(BOB, DEMO, &["reader", "swift"]);
    let roles = signing.ask(S3TOKENS, &v4()).await.json()["token"]["roles"].take();
    assert_eq!(
        roles,
        json!([{"id": "id-of-reader", "name": "reader"}, {"id": "id-of-swift", "name": "swift"}])
    );
    registry.set_down(true);
    let down = signing.ask(S3TOKENS, &v4()).await;
    assert_refused(&down, 503);
    assert_eq!(down.header("retry-after"), "5");
    assert_eq!(down.error.unwrap().kind(), ErrorKind::Unavailable);
}

/// T2.
#[tokio::test]
async fn t2_hides_which_keys_there_are_if_it_is_told_to() {
    let signing = Signing::with(|builder| builder.hide_unknown_keys(true)).await;
    let told = async |access: &str, secret: &str| {
        let body = signer::s3_v4(access, secret, TIME, SCOPE);
        let mut answer = signing.ask(S3TOKENS, &body).await;
        assert_refused(&answer, 401);
        answer.headers.remove("x-openstack-request-id");
        (answer.headers, answer.body)
    };
    assert_eq!(told("unknown", SECRET).await, told(ACCESS, "wrong").await);
    assert_eq!(signing.status(S3TOKENS, &v4()).await, 200);
}

/// T2.
#[tokio::test]
async fn t2_is_the_inner_services_without_a_directory() {
    let builder = CredentialLayer::builder(tokens(), MemoryBackend::default());
    let open = World { layer: builder.build().unwrap(), ..world() };
    for method in ["POST", "GET", "OPTIONS"] {
        let answer = open.call(method, S3TOKENS).token("dev-service").json(&v4()).send().await;
        assert_eq!((answer.status.as_u16(), answer.text()), (418, "short and stout"), "{method}");
    }
}

/// T2.
#[tokio::test]
async fn t2_takes_keys_of_every_dialect() {
    let signing = Signing::new().await;
    let world = &signing.world;
    world.mint(BOB, DEMO, "minted").await;
    let grant = json!({"s3Credentials": {"username": "granted", "secret": "s", "signature": ""}});
    let uri = format!("/v2.0/users/{BOB}/OS-KSS3/credentials");
    assert_eq!(world.post(&uri).token("dev-admin").json(&grant).send().await.status, 201);
    let uri = format!("/v3/users/{BOB}/credentials/OS-EC2");
    let made = world.post(&uri).token("dev-bob").json(&json!({"tenant_id": DEMO})).send().await;
    let made = made.json()["credential"].take();
    let [access, secret] = ["access", "secret"].map(|name| made[name].as_str().unwrap());
    for (access, secret) in [("minted", "secret-of-minted"), ("granted", "s"), (access, secret)] {
        let body = signer::s3_v4(access, secret, TIME, SCOPE);
        assert_eq!(signing.status(S3TOKENS, &body).await, 200, "{access}");
    }
}
