//! The rights of callers with a trust, an application credential, an OAuth1 token or an EC2 key.

use serde_json::{Value, json};
use tower_credentials::policy::{DelegatedCallers, RolePolicy};

use crate::{
    signer::s3_v4,
    world::{
        ALICE, BOB, DEMO, OTHER, World,
        v3::{
            CREDENTIALS, S3TOKENS, SECRET, accesses, assert_refused, blob_of, change, create,
            credential_path, ec2, ec2_path, id_of, ids, opaque, world, world_with,
        },
    },
};

pub(crate) const TIME: &str = "20260102T030405Z";
pub(crate) const SCOPE: &str = "20260102/us-east-1/s3/aws4_request";

/// The names of the delegations in the tokens, except that of a key.
pub(crate) const NAMES: [&str; 5] = ["trust", "app", "restricted", "oauth", "method"];

pub(crate) fn policy(delegated: DelegatedCallers) -> RolePolicy {
    let mut policy = RolePolicy::keystone();
    policy.delegated = delegated;
    policy
}

pub(crate) fn world_where(delegated: DelegatedCallers) -> World {
    world_with(|builder| builder.policy(policy(delegated)))
}

/// Every operation on Alice's key pair and on her other credential.
fn operations(totp: &str) -> Vec<(&'static str, String, Value)> {
    let none = Value::Null;
    vec![
        ("POST", CREDENTIALS.into(), ec2(ALICE, DEMO, "new")),
        ("POST", CREDENTIALS.into(), opaque(ALICE, "totp", "x")),
        ("GET", credential_path(&id_of("a")), none.clone()),
        ("PATCH", credential_path(&id_of("a")), change(&blob_of("a", "evil"))),
        ("DELETE", credential_path(&id_of("a")), none.clone()),
        ("GET", credential_path(totp), none.clone()),
        ("PATCH", credential_path(totp), change("evil")),
        ("DELETE", credential_path(totp), none.clone()),
        ("GET", credential_path("missing"), none.clone()),
        ("PATCH", credential_path("missing"), change("evil")),
        ("DELETE", credential_path("missing"), none.clone()),
        ("GET", ec2_path(ALICE, ""), none.clone()),
        ("POST", ec2_path(ALICE, ""), json!({"tenant_id": DEMO})),
        ("GET", ec2_path(ALICE, "/a"), none.clone()),
        ("DELETE", ec2_path(ALICE, "/a"), none.clone()),
        ("GET", ec2_path(ALICE, "/missing"), none.clone()),
        ("DELETE", ec2_path(ALICE, "/missing"), none.clone()),
        ("GET", ec2_path(ALICE, "").replace("/v3", "/v2.0"), none),
    ]
}

/// Adds a key pair and another credential of Alice, and returns the id of the latter.
async fn filled(world: World) -> (World, String) {
    create(&world, &ec2(ALICE, DEMO, "a")).await;
    let totp = create(&world, &opaque(ALICE, "totp", "x")).await;
    (world, totp["id"].as_str().unwrap().to_owned())
}

pub(crate) async fn status(
    world: &World,
    token: &str,
    method: &str,
    uri: &str,
    body: &Value,
) -> u16 {
    world.call(method, uri).token(token).json(body).send().await.status.as_u16()
}

#[tokio::test]
async fn delegated_callers_are_refused_everything_by_default_even_as_admin() {
    let (world, totp) = filled(world()).await;
    for name in NAMES {
        for whose in ["alice", "admin", "elsewhere", "nowhere"] {
            let token = format!("{name}-{whose}");
            for (method, uri, body) in operations(&totp) {
                let answer = world.call(method, &uri).token(&token).json(&body).send().await;
                assert_eq!(answer.status, 403, "{token} {method} {uri}");
                assert_refused(&answer, 403);
            }
            let list = world.get(CREDENTIALS).token(&token).send().await;
            assert!(ids(&list).is_empty(), "{token}");
            let marked = format!("{CREDENTIALS}?marker={totp}");
            assert!(ids(&world.get(&marked).token(&token).send().await).is_empty(), "{token}");
        }
    }
    assert_eq!(world.stored("a").await.unwrap().secret_key().unwrap().expose(), "secret-of-a");
}

#[tokio::test]
async fn tokens_obtained_with_a_key_are_refused_everywhere_under_every_setting() {
    for delegated in [
        DelegatedCallers::Refused,
        DelegatedCallers::AdminKeyPairs,
        DelegatedCallers::WithinProject,
    ] {
        let (world, totp) = filled(world_where(delegated)).await;
        for token in ["ec2-alice", "ec2-admin", "ec2-service"] {
            let mut all = operations(&totp);
            all.extend([
                ("GET", CREDENTIALS.into(), Value::Null),
                ("POST", S3TOKENS.into(), s3_v4("a", SECRET, TIME, SCOPE)),
                ("POST", "/credentials".into(), json!({"credential": {"type": "ec2"}})),
                ("GET", format!("/v2.0/users/{ALICE}/OS-KSADM/credentials"), Value::Null),
            ]);
            for (method, uri, body) in all {
                assert_eq!(status(&world, token, method, &uri, &body).await, 403, "{method} {uri}");
            }
        }
        assert!(world.is_usable("a").await);
    }
}

#[tokio::test]
async fn delegated_admins_reach_key_pairs_in_v3_if_configured() {
    let (world, totp) = filled(world_where(DelegatedCallers::AdminKeyPairs)).await;
    create(&world, &ec2(BOB, OTHER, "b")).await;
    for name in NAMES {
        let token = format!("{name}-admin");
        let list = world.get(CREDENTIALS).token(&token).send().await;
        assert_eq!(ids(&list), [id_of("a"), id_of("b")], "{token}");
        let own = format!("own-of-{name}");
        // A restricted application credential creates no key pair, even that of an admin.
        let made = |status| if name == "restricted" { 403 } else { status };
        for (method, uri, body, expected) in [
            ("GET", credential_path(&id_of("a")), Value::Null, 200),
            ("PATCH", credential_path(&id_of("a")), change(&blob_of("a", "s")), 403),
            ("POST", CREDENTIALS.into(), ec2(BOB, DEMO, &own), made(201)),
            (
                "DELETE",
                credential_path(&id_of(&own)),
                Value::Null,
                if name == "restricted" { 404 } else { 204 },
            ),
            ("GET", credential_path(&totp), Value::Null, 403),
            ("PATCH", credential_path(&totp), change("evil"), 403),
            ("DELETE", credential_path(&totp), Value::Null, 403),
            ("POST", CREDENTIALS.into(), opaque(BOB, "totp", "x"), 403),
            ("GET", ec2_path(ALICE, ""), Value::Null, 403),
            ("POST", ec2_path(ALICE, ""), json!({"tenant_id": DEMO}), 403),
            ("GET", ec2_path(ALICE, "/a"), Value::Null, 403),
            ("DELETE", ec2_path(ALICE, "/a"), Value::Null, 403),
        ] {
            let found = status(&world, &token, method, &uri, &body).await;
            assert_eq!(found, expected, "{token} {method} {uri}");
        }
        let token = format!("{name}-alice");
        for (method, uri, body) in operations(&totp) {
            assert_eq!(status(&world, &token, method, &uri, &body).await, 403, "{method} {uri}");
        }
        assert!(ids(&world.get(CREDENTIALS).token(&token).send().await).is_empty());
    }
}

#[tokio::test]
async fn delegated_caller_has_the_rights_of_its_user_within_its_project() {
    let (world, totp) = filled(world_where(DelegatedCallers::WithinProject)).await;
    create(&world, &ec2(ALICE, OTHER, "elsewhere")).await;
    create(&world, &ec2(BOB, DEMO, "b")).await;
    for name in ["trust", "app", "oauth", "method"] {
        let token = format!("{name}-alice");
        let key = format!("key-of-{name}");
        let mut projectless = ec2(ALICE, DEMO, "projectless");
        projectless["credential"]["project_id"] = Value::Null;
        for (method, uri, body, expected) in [
            ("POST", CREDENTIALS.into(), ec2(ALICE, DEMO, &key), 201),
            ("POST", CREDENTIALS.into(), ec2(ALICE, OTHER, "x"), 403),
            ("POST", CREDENTIALS.into(), ec2(BOB, DEMO, "x"), 403),
            ("POST", CREDENTIALS.into(), projectless, 403),
            ("POST", CREDENTIALS.into(), opaque(ALICE, "totp", "x"), 403),
            ("GET", credential_path(&id_of("a")), Value::Null, 200),
            // The delegation would not bind the new secret.
            ("PATCH", credential_path(&id_of("a")), change(&blob_of("a", "s")), 403),
            ("GET", credential_path(&id_of("b")), Value::Null, 403),
            ("GET", credential_path(&id_of("elsewhere")), Value::Null, 403),
            ("DELETE", credential_path(&id_of("elsewhere")), Value::Null, 403),
            ("GET", credential_path(&totp), Value::Null, 403),
            ("PATCH", credential_path(&totp), change("evil"), 403),
            ("POST", ec2_path(ALICE, ""), json!({"tenant_id": OTHER}), 403),
            ("POST", ec2_path(ALICE, ""), json!({}), 403),
            ("GET", ec2_path(ALICE, "/a"), Value::Null, 200),
            ("GET", ec2_path(ALICE, "/elsewhere"), Value::Null, 403),
            ("DELETE", ec2_path(ALICE, "/elsewhere"), Value::Null, 403),
        ] {
            let found = status(&world, &token, method, &uri, &body).await;
            assert_eq!(found, expected, "{token} {method} {uri} {body}");
        }
        let mut expected = ["a", &*key];
        expected.sort_unstable();
        let expected = expected.map(id_of);
        assert_eq!(ids(&world.get(CREDENTIALS).token(&token).send().await), expected, "{token}");
        let list = world.get(&ec2_path(ALICE, "")).token(&token).send().await;
        assert_eq!(accesses(&list).len(), 2, "{token}");
        let delete = credential_path(&id_of(&key));
        assert_eq!(status(&world, &token, "DELETE", &delete, &Value::Null).await, 204);
        for (method, uri, body) in operations(&totp) {
            let token = format!("{name}-nowhere");
            let found = status(&world, &token, method, &uri, &body).await;
            assert_eq!(found, 403, "{token} {method} {uri}");
        }
    }
}

#[tokio::test]
async fn restricted_application_credentials_create_no_key_pairs_on_either_path() {
    let (world, _) = filled(world_where(DelegatedCallers::WithinProject)).await;
    for (uri, body) in [
        (CREDENTIALS.into(), ec2(ALICE, DEMO, "x")),
        (ec2_path(ALICE, ""), json!({"tenant_id": DEMO})),
        (ec2_path(ALICE, "").replace("/v3", "/v2.0"), json!({"tenant_id": DEMO})),
    ] {
        assert_eq!(status(&world, "restricted-alice", "POST", &uri, &body).await, 403, "{uri}");
        assert_eq!(status(&world, "app-alice", "POST", &uri, &body).await, 201, "{uri}");
    }
    let mut cert = opaque(ALICE, "cert", "x");
    cert["credential"]["project_id"] = DEMO.into();
    assert_eq!(status(&world, "restricted-alice", "POST", CREDENTIALS, &cert).await, 201);
    assert_eq!(
        status(&world, "restricted-alice", "GET", &credential_path(&id_of("a")), &cert).await,
        200
    );
}
