//! Responses of `s3tokens`.

use data_encoding::BASE64URL;
use serde_json::{Value, json};
use tower_credentials::{CredentialLayer, ErrorKind, backend::memory::MemoryBackend};

use crate::{
    signer::{self, EMPTY},
    world::{
        BOB, DEMO, World,
        v3::{
            ACCESS, S3TOKENS, SECOND, SECRET, Signing, assert_refused, blob_of, create, ec2,
            opaque, pair_of, tokens, world,
        },
    },
};

/// The published vector of version 2.
pub(crate) const V1_TOKEN: &str =
    "UFVUCgp0ZXh0L3BsYWluCkZyaSwgMDIgSmFuIDIwMjYgMDM6MDQ6MDUgR01UCi9idWNrZXQva2V5LnR4dA==";
pub(crate) const V1_SIGNATURE: &str = "0Q01BaiWNDGJzN9QznvT8QyhRQM=";
/// The vector of version 4, over the hash of an empty body.
pub(crate) const V4_SIGNATURE: &str =
    "391347df4530b0f3ce21b1cbfc29c3ba5613027fc0f336c7ea363ff6cb392caa";

pub(crate) const TIME: &str = "20260102T030405Z";
pub(crate) const SCOPE: &str = "20260102/us-east-1/s3/aws4_request";
pub(crate) const DATE: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

pub(crate) fn credentials(token: &str, signature: &str) -> Value {
    json!({"credentials": {"access": ACCESS, "token": token, "signature": signature}})
}

pub(crate) fn v1() -> Value {
    credentials(V1_TOKEN, V1_SIGNATURE)
}

pub(crate) fn v4() -> Value {
    let text = format!("AWS4-HMAC-SHA256\n{TIME}\n{SCOPE}\n{EMPTY}");
    credentials(&BASE64URL.encode(text.as_bytes()), V4_SIGNATURE)
}

#[tokio::test]
async fn t2_returns_the_signer_and_no_token() {
    let signing = Signing::new().await;
    for body in [v1(), v4()] {
        let answer = signing.send(S3TOKENS, &body).await;
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
    assert!(signing.issuer.signers().is_empty(), "no token was issued");
}

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
        // Only callers who may verify signatures learn the fault in the body.
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

#[tokio::test]
async fn t2_returns_the_same_for_a_repeated_request() {
    let signing = Signing::new().await;
    for _ in 0..5 {
        assert_eq!(signing.status(S3TOKENS, &v4()).await, 200);
        assert_eq!(signing.status(S3TOKENS, &v1()).await, 200);
    }
}

#[tokio::test]
async fn t2_returns_400_for_an_invalid_request_and_401_without_a_key() {
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
        let answer = signing.send(S3TOKENS, &body).await;
        assert_eq!(answer.status, status, "{body}");
        if status != 200 {
            assert_refused(&answer, status);
        }
    }
    assert_refused(&signing.world.post(S3TOKENS).token("dev-service").send().await, 400);
    let broken = signing.world.post(S3TOKENS).token("dev-service");
    assert_refused(&broken.text("application/json", "{\"credentials\":").send().await, 400);
}

#[tokio::test]
async fn t2_unknown_key_is_404_and_unusable_key_is_401() {
    let signing = Signing::new().await;
    let world = &signing.world;
    create(world, &pair_of(BOB, DEMO, r#"{"access":"secretless"}"#)).await;
    create(world, &opaque(BOB, "cert", &blob_of("certified", SECRET))).await;
    let mut projectless = ec2(BOB, DEMO, "projectless");
    projectless["credential"]["project_id"] = Value::Null;
    create(world, &projectless).await;
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
            let answer = signing.send(S3TOKENS, &body).await;
            assert_eq!(answer.status, status, "{access}");
            assert_refused(&answer, status);
        }
    }
    // An old request does not reveal whether a key exists.
    let old = signer::s3_v4("unknown", SECRET, "20250102T030405Z", &SCOPE.replace("2026", "2025"));
    assert_eq!(signing.status(S3TOKENS, &old).await, 404);
    let deleted = world.delete("/credentials/inactive").token("dev-bob").send().await;
    assert_eq!(deleted.status, 204);
    let body = signer::s3_v4("inactive", "secret-of-inactive", TIME, SCOPE);
    assert_eq!(signing.status(S3TOKENS, &body).await, 404);
}

#[tokio::test]
async fn t2_follows_changes_of_user_project_and_roles() {
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
    let roles = signing.send(S3TOKENS, &v4()).await.json()["token"]["roles"].take();
    assert_eq!(
        roles,
        json!([{"id": "id-of-reader", "name": "reader"}, {"id": "id-of-swift", "name": "swift"}])
    );
    // The last answer counts for a second, and for the grace of a minute.
    registry.set_down(true);
    signing.world.clock.advance(SECOND * 61);
    let down = signing.send(S3TOKENS, &v4()).await;
    assert_refused(&down, 503);
    assert_eq!(down.header("retry-after"), "5");
    assert_eq!(down.error.unwrap().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn t2_hides_which_keys_exist_if_configured() {
    let signing = Signing::with(|builder| builder.hide_unknown_keys(true)).await;
    let response = async |access: &str, secret: &str| {
        let body = signer::s3_v4(access, secret, TIME, SCOPE);
        let mut answer = signing.send(S3TOKENS, &body).await;
        assert_refused(&answer, 401);
        answer.headers.remove("x-openstack-request-id");
        (answer.headers, answer.body)
    };
    assert_eq!(response("unknown", SECRET).await, response(ACCESS, "wrong").await);
    assert_eq!(signing.status(S3TOKENS, &v4()).await, 200);
}

#[tokio::test]
async fn t2_passes_through_without_a_directory() {
    let builder = CredentialLayer::builder(tokens(), MemoryBackend::default());
    let open = World { layer: builder.build().unwrap(), ..world() };
    for method in ["POST", "GET", "OPTIONS"] {
        let answer = open.call(method, S3TOKENS).token("dev-service").json(&v4()).send().await;
        assert_eq!((answer.status.as_u16(), answer.text()), (418, "short and stout"), "{method}");
    }
}

#[tokio::test]
async fn t2_accepts_keys_of_every_dialect() {
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
