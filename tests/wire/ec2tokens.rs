//! Responses of `ec2tokens`.

use serde_json::{Value, json};
use tower_credentials::{CredentialLayer, backend::memory::MemoryBackend};

use crate::{
    signer::{self, EMPTY},
    world::{
        BOB, DEMO, World, directory,
        test_issuer::TestIssuer,
        v3::{
            ACCESS, EC2TOKENS, S3TOKENS, SECOND, SECRET, Signing, assert_refused, create, pair_of,
            tokens, world, world_with,
        },
    },
};

pub(crate) const TIME: &str = "2026-01-02T03:04:05Z";
pub(crate) const BASIC: &str = "20260102T030405Z";
pub(crate) const SCOPE: &str = "20260102/RegionOne/ec2/aws4_request";
const HOST: &str = "cloud.example.test:8773";

fn published(signature: &str, params: &Value, headers: &Value) -> Value {
    json!({"credentials": {
        "access": ACCESS, "signature": signature, "verb": "GET", "host": HOST,
        "path": "/services/Cloud", "params": params, "headers": headers, "body_hash": EMPTY,
    }})
}

/// The published vectors, by version.
pub(crate) fn vectors() -> [(&'static str, Value); 4] {
    let params = |version: &str| {
        json!({
            "SignatureVersion": version, "Action": "DescribeInstances", "Timestamp": TIME,
            "AWSAccessKeyId": ACCESS, "Version": "2016-11-15",
        })
    };
    let v0 = json!({"SignatureVersion": "0", "Action": "DescribeInstances", "Timestamp": TIME});
    let mut v2 = params("2");
    v2["Filter.1.Value"] = "a b/c~d*e".into();
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS}/{SCOPE}, SignedHeaders=host;x-amz-date, Signature=x"
    );
    let headers = json!({"Host": HOST, "X-Amz-Date": BASIC, "Authorization": authorization});
    let v4 = json!({"Action": "DescribeInstances", "Version": "2016-11-15"});
    let v4_signature = "46f376df97a5435c942a443bc8d171346e90a3462bce7d025ea3c2bf639904d8";
    [
        ("0", published("p+GXlSbcOT3rrJI+L6/WvEEwCE8=", &v0, &json!({}))),
        ("1", published("9aaBUlIXo+bj2AWifdCwEIWkL64=", &params("1"), &json!({}))),
        ("2", published("4GkcSNNCKBFxWjPyjK9nfADrSWc1G+sYtAQx5UdTIhU=", &v2, &json!({}))),
        ("4", published(v4_signature, &v4, &headers)),
    ]
}

pub(crate) fn vector(version: &str) -> Value {
    vectors().into_iter().find(|(name, _)| *name == version).unwrap().1
}

/// Replaces members of a body, or removes them if the new value is null.
pub(crate) fn changed(version: &str, changes: &[(&str, Value)]) -> Value {
    let mut body = vector(version);
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(&format!("/credentials{parent}")).unwrap();
        parent.as_object_mut().unwrap().remove(name);
        if !value.is_null() {
            parent[name] = value.clone();
        }
    }
    body
}

/// A request signed at this time, in every version.
pub(crate) fn signed_at(access: &str, secret: &str, time: &str) -> Vec<Value> {
    let basic = time.replace(['-', ':'], "");
    let scope = format!("{}/RegionOne/ec2/aws4_request", &basic[..8]);
    let old = (0..3).map(|version| signer::ec2_old(version, access, secret, time));
    old.chain([signer::ec2_v4(access, secret, &basic, &scope)]).collect()
}

#[tokio::test]
async fn t1_issues_a_token_to_the_signer_in_every_version() {
    let signing = Signing::new().await;
    for (number, (version, body)) in (1..).zip(vectors()) {
        let answer = signing.send(EC2TOKENS, &body).await;
        assert_eq!(answer.status, 200, "{version}: {}", answer.text());
        assert_eq!(answer.header("x-subject-token"), format!("issued-token-{number}"));
        assert!(answer.headers["x-subject-token"].is_sensitive());
        assert!(!answer.text().contains("issued-token"));
        let domain = json!({"id": "default", "name": "Default"});
        assert_eq!(
            answer.json(),
            json!({"token": {
                "methods": ["ec2credential"],
                "user": {
                    "id": BOB, "name": "bob", "domain": domain, "password_expires_at": null,
                },
                "project": {"id": DEMO, "name": "demo", "domain": domain},
                "is_domain": false,
                "roles": [{"id": "member", "name": "member"}],
                "audit_ids": [format!("audit-{number}")],
                "issued_at": "2026-01-02T03:04:05.000000Z",
                "expires_at": "2026-01-02T05:04:05.000000Z",
                "catalog": [{"type": "identity", "endpoints": []}],
            }})
        );
    }
    let signers = signing.issuer.signers();
    assert_eq!(signers.len(), 4);
    assert!(signers.iter().all(|signer| signer.user.id.as_str() == BOB));
    assert!(signers.iter().all(|signer| signer.delegation.is_none()));
}

#[tokio::test]
async fn t1_is_for_services_and_admins() {
    let signing = Signing::new().await;
    for (token, expected) in [
        ("dev-service", 200),
        ("dev-admin", 200),
        ("system-admin", 200),
        ("dev-bob", 403),
        ("system-reader", 403),
        ("ec2-service", 403),
        ("ec2-admin", 403),
    ] {
        for (body, status) in [(vector("2"), expected), (json!({}), expected.max(400))] {
            let answer = signing.world.post(EC2TOKENS).token(token).json(&body).send().await;
            assert_eq!(answer.status, status, "{token} {body}");
            if status == 403 {
                assert_refused(&answer, 403);
                assert!(answer.text().contains("identity:ec2tokens_validate."));
            }
        }
    }
    assert_refused(&signing.world.post(EC2TOKENS).json(&vector("2")).send().await, 401);
    assert_eq!(signing.issuer.signers().len(), 3, "refused requests get no token");
}

#[tokio::test]
async fn t1_returns_400_for_an_invalid_request_and_401_without_a_key_or_signature() {
    let signing = Signing::new().await;
    for (version, changes, status) in [
        ("2", &[("/signature", Value::Null)][..], 401),
        ("2", &[("/access", Value::Null)], 401),
        ("2", &[("/access", json!(""))], 401),
        ("2", &[("/access", json!(5))], 400),
        ("2", &[("/signature", json!(5))], 400),
        ("2", &[("/params", Value::Null)], 400),
        ("2", &[("/params", json!("x"))], 400),
        ("2", &[("/params", json!([]))], 400),
        ("2", &[("/params/Version", json!(5))], 400),
        ("2", &[("/params/SignatureVersion", json!(2))], 400),
        ("2", &[("/params/SignatureVersion", json!("3"))], 400),
        ("2", &[("/params/SignatureVersion", Value::Null)], 400),
        ("2", &[("/verb", Value::Null)], 400),
        ("2", &[("/host", Value::Null)], 400),
        ("2", &[("/path", Value::Null)], 400),
        ("2", &[("/path", json!(["/"]))], 400),
        ("0", &[("/params/Action", Value::Null)], 400),
        ("4", &[("/body_hash", Value::Null)], 400),
        ("4", &[("/headers", json!([]))], 400),
        ("4", &[("/headers/Host", json!(["x"]))], 400),
        ("4", &[("/headers/X-Amz-Date", Value::Null)], 400),
        ("4", &[("/headers", Value::Null)], 400),
    ] {
        let answer = signing.send(EC2TOKENS, &changed(version, changes)).await;
        assert_eq!(answer.status, status, "{version} {changes:?}: {}", answer.text());
        assert_refused(&answer, status);
    }
    for (body, status) in [
        (json!({}), 400),
        (json!([]), 400),
        (json!({"credentials": {}}), 401),
        (json!({"credentials": "abc"}), 401),
        (json!({"x": {}}), 401),
    ] {
        assert_refused(&signing.send(EC2TOKENS, &body).await, status);
    }
    assert_refused(&signing.world.post(EC2TOKENS).token("dev-service").send().await, 400);
    let members = vector("2")["credentials"].clone();
    for name in ["credential", "ec2Credentials"] {
        assert_eq!(signing.status(EC2TOKENS, &json!({ name: members })).await, 200, "{name}");
    }
    let twice = vector("2").to_string().replacen("\"access\"", "\"access\":\"x\",\"access\"", 1);
    let twice = signing.world.post(EC2TOKENS).token("dev-service").text("application/json", &twice);
    assert_refused(&twice.send().await, 400);
}

#[tokio::test]
async fn t1_returns_404_for_unknown_keys_unless_it_hides_them() {
    let signing = Signing::new().await;
    create(&signing.world, &pair_of(BOB, DEMO, r#"{"access":"secretless"}"#)).await;
    for (unknown, secretless) in
        signed_at("unknown", SECRET, TIME).iter().zip(signed_at("secretless", "", TIME))
    {
        assert_refused(&signing.send(EC2TOKENS, unknown).await, 404);
        assert_refused(&signing.send(EC2TOKENS, &secretless).await, 401);
    }
    let hiding = Signing::with(|builder| builder.hide_unknown_keys(true)).await;
    for (unknown, wrong) in
        signed_at("unknown", SECRET, TIME).into_iter().zip(signed_at(ACCESS, "wrong", TIME))
    {
        let mut responses = Vec::new();
        for body in [unknown, wrong] {
            let mut answer = hiding.send(EC2TOKENS, &body).await;
            assert_refused(&answer, 401);
            answer.headers.remove("x-openstack-request-id");
            responses.push((answer.headers, answer.body));
        }
        assert_eq!(responses[0], responses[1]);
    }
}

#[tokio::test]
async fn t1_follows_changes_of_user_project_and_roles() {
    let signing = Signing::new().await;
    let (registry, issuer) = (&signing.registry, &signing.issuer);
    let status = async || signing.status(EC2TOKENS, &vector("4")).await;
    registry.set_user(BOB, Some(false));
    assert_eq!(status().await, 401);
    registry.set_user(BOB, None);
    assert_eq!(status().await, 404);
    registry.set_user(BOB, Some(true));
    registry.set_project(DEMO, Some(false));
    assert_eq!(status().await, 401);
    registry.set_project(DEMO, Some(true));
    registry.set_roles(BOB, DEMO, &[]);
    assert_eq!(status().await, 401);
    registry.set_roles(BOB, DEMO, &["swift"]);
    // The last answer is negative, so it counts for a second only.
    registry.set_down(true);
    signing.world.clock.advance(SECOND);
    assert_refused(&signing.send(EC2TOKENS, &vector("4")).await, 503);
    registry.set_down(false);
    issuer.set_down(true);
    let down = signing.send(EC2TOKENS, &vector("4")).await;
    assert_refused(&down, 503);
    assert!(!down.text().contains("db-7") && !down.headers.contains_key("x-subject-token"));
    assert!(issuer.signers().is_empty());
    issuer.set_down(false);
    assert_eq!(status().await, 200);
    assert_eq!(issuer.signers()[0].roles[0].name, "swift");
}

#[tokio::test]
async fn t1_passes_through_without_an_issuer_or_a_directory() {
    let builder = || CredentialLayer::builder(tokens(), MemoryBackend::default());
    let without_directory = builder().issuer(TestIssuer::default()).build().unwrap();
    for (world, s3tokens) in [
        (world(), 400),
        (World { layer: without_directory, ..world() }, 418),
        (world_with(|builder| builder.directory(directory())), 400),
    ] {
        for (uri, status) in [(EC2TOKENS, 418), (S3TOKENS, s3tokens)] {
            let answer = world.post(uri).token("dev-service").json(&json!({})).send().await;
            assert_eq!(answer.status, status, "{uri}");
        }
    }
}
