//! Callers with a trust, an application credential, an OAuth1 token or an EC2 key,
//! and the keys that they made.

use serde_json::{Value, json};
use tower_credentials::{
    domain::Delegation,
    policy::{DelegatedCallers, RolePolicy},
};

use crate::common::{
    ALICE, BOB, DEMO, OTHER, World,
    signer::s3_v4,
    v3::{
        CREDENTIALS, S3TOKENS, SECRET, Signing, access_token, accesses, app, assert_refused,
        blob_of, change, ec2, id_of, ids, make, one, opaque, pair_of, pairs, trust, world,
        world_with,
    },
};

const TIME: &str = "20260102T030405Z";
const SCOPE: &str = "20260102/us-east-1/s3/aws4_request";

/// Those who are delegated, but not by a key.
const NAMES: [&str; 5] = ["trust", "app", "restricted", "oauth", "method"];

fn policy(delegated: DelegatedCallers) -> RolePolicy {
    let mut policy = RolePolicy::default();
    policy.delegated = delegated;
    policy
}

fn world_that(delegated: DelegatedCallers) -> World {
    world_with(|builder| builder.policy(policy(delegated)))
}

/// Everything there is to do with the key pair and the other credential of Alice.
fn operations(totp: &str) -> Vec<(&'static str, String, Value)> {
    let none = Value::Null;
    vec![
        ("POST", CREDENTIALS.into(), ec2(ALICE, DEMO, "new")),
        ("POST", CREDENTIALS.into(), opaque(ALICE, "totp", "x")),
        ("GET", one(&id_of("a")), none.clone()),
        ("PATCH", one(&id_of("a")), change(&blob_of("a", "evil"))),
        ("DELETE", one(&id_of("a")), none.clone()),
        ("GET", one(totp), none.clone()),
        ("PATCH", one(totp), change("evil")),
        ("DELETE", one(totp), none.clone()),
        ("GET", one("missing"), none.clone()),
        ("PATCH", one("missing"), change("evil")),
        ("DELETE", one("missing"), none.clone()),
        ("GET", pairs(ALICE, ""), none.clone()),
        ("POST", pairs(ALICE, ""), json!({"tenant_id": DEMO})),
        ("GET", pairs(ALICE, "/a"), none.clone()),
        ("DELETE", pairs(ALICE, "/a"), none.clone()),
        ("GET", pairs(ALICE, "/missing"), none.clone()),
        ("DELETE", pairs(ALICE, "/missing"), none.clone()),
        ("GET", pairs(ALICE, "").replace("/v3", "/v2.0"), none),
    ]
}

/// A world with a key pair and another credential of Alice, and the id of that.
async fn filled(world: World) -> (World, String) {
    make(&world, &ec2(ALICE, DEMO, "a")).await;
    let totp = make(&world, &opaque(ALICE, "totp", "x")).await;
    (world, totp["id"].as_str().unwrap().to_owned())
}

async fn status(world: &World, token: &str, method: &str, uri: &str, body: &Value) -> u16 {
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
        let (world, totp) = filled(world_that(delegated)).await;
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
async fn delegated_admins_reach_key_pairs_as_credentials_if_that_is_let() {
    let (world, totp) = filled(world_that(DelegatedCallers::AdminKeyPairs)).await;
    make(&world, &ec2(BOB, OTHER, "b")).await;
    for name in NAMES {
        let token = format!("{name}-admin");
        let list = world.get(CREDENTIALS).token(&token).send().await;
        let mut expected = [id_of("a"), id_of("b")];
        expected.sort();
        assert_eq!(ids(&list), expected, "{token}");
        let own = format!("own-of-{name}");
        for (method, uri, body, expected) in [
            ("GET", one(&id_of("a")), Value::Null, 200),
            ("PATCH", one(&id_of("a")), change(&blob_of("a", "s")), 200),
            ("POST", CREDENTIALS.into(), ec2(BOB, DEMO, &own), 201),
            ("DELETE", one(&id_of(&own)), Value::Null, 204),
            ("GET", one(&totp), Value::Null, 403),
            ("PATCH", one(&totp), change("evil"), 403),
            ("DELETE", one(&totp), Value::Null, 403),
            ("POST", CREDENTIALS.into(), opaque(BOB, "totp", "x"), 403),
            ("GET", pairs(ALICE, ""), Value::Null, 403),
            ("POST", pairs(ALICE, ""), json!({"tenant_id": DEMO}), 403),
            ("GET", pairs(ALICE, "/a"), Value::Null, 403),
            ("DELETE", pairs(ALICE, "/a"), Value::Null, 403),
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
async fn within_its_project_a_delegated_caller_may_what_its_user_may() {
    let (world, totp) = filled(world_that(DelegatedCallers::WithinProject)).await;
    make(&world, &ec2(ALICE, OTHER, "elsewhere")).await;
    make(&world, &ec2(BOB, DEMO, "b")).await;
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
            ("GET", one(&id_of("a")), Value::Null, 200),
            ("PATCH", one(&id_of("a")), change(&blob_of("a", "s")), 200),
            ("GET", one(&id_of("b")), Value::Null, 403),
            ("GET", one(&id_of("elsewhere")), Value::Null, 403),
            ("DELETE", one(&id_of("elsewhere")), Value::Null, 403),
            ("GET", one(&totp), Value::Null, 403),
            ("PATCH", one(&totp), change("evil"), 403),
            ("POST", pairs(ALICE, ""), json!({"tenant_id": OTHER}), 403),
            ("POST", pairs(ALICE, ""), json!({}), 403),
            ("GET", pairs(ALICE, "/a"), Value::Null, 200),
            ("GET", pairs(ALICE, "/elsewhere"), Value::Null, 403),
            ("DELETE", pairs(ALICE, "/elsewhere"), Value::Null, 403),
        ] {
            let found = status(&world, &token, method, &uri, &body).await;
            assert_eq!(found, expected, "{token} {method} {uri} {body}");
        }
        let mut expected = [id_of("a"), id_of(&key)];
        expected.sort();
        assert_eq!(ids(&world.get(CREDENTIALS).token(&token).send().await), expected, "{token}");
        let list = world.get(&pairs(ALICE, "")).token(&token).send().await;
        assert_eq!(accesses(&list).len(), 2, "{token}");
        let delete = one(&id_of(&key));
        assert_eq!(status(&world, &token, "DELETE", &delete, &Value::Null).await, 204);
        for (method, uri, body) in operations(&totp) {
            let token = format!("{name}-nowhere");
            let found = status(&world, &token, method, &uri, &body).await;
            assert_eq!(found, 403, "{token} {method} {uri}");
        }
    }
}

#[tokio::test]
async fn restricted_application_credentials_make_no_key_pairs_on_either_path() {
    let (world, _) = filled(world_that(DelegatedCallers::WithinProject)).await;
    for (uri, body) in [
        (CREDENTIALS.into(), ec2(ALICE, DEMO, "x")),
        (pairs(ALICE, ""), json!({"tenant_id": DEMO})),
        (pairs(ALICE, "").replace("/v3", "/v2.0"), json!({"tenant_id": DEMO})),
    ] {
        assert_eq!(status(&world, "restricted-alice", "POST", &uri, &body).await, 403, "{uri}");
        assert_eq!(status(&world, "app-alice", "POST", &uri, &body).await, 201, "{uri}");
    }
    let mut cert = opaque(ALICE, "cert", "x");
    cert["credential"]["project_id"] = DEMO.into();
    assert_eq!(status(&world, "restricted-alice", "POST", CREDENTIALS, &cert).await, 201);
    assert_eq!(status(&world, "restricted-alice", "GET", &one(&id_of("a")), &cert).await, 200);
}

#[tokio::test]
async fn what_a_delegated_caller_makes_carries_its_delegation_on_every_path() {
    let world = world_that(DelegatedCallers::WithinProject);
    for (name, delegation, member) in [
        ("trust", trust(), Some(("trust_id", "t"))),
        ("app", app(false), Some(("app_cred_id", "a"))),
        ("oauth", access_token(), Some(("access_token_id", "o"))),
        ("method", Delegation::Other, None),
    ] {
        let token = format!("{name}-alice");
        let lie = json!({
            "access": name, "secret": "s", "trust_id": "lie", "app_cred_id": "lie",
            "access_token_id": "lie", "more": 1,
        });
        let body = pair_of(ALICE, DEMO, &lie.to_string());
        let made = world.post(CREDENTIALS).token(&token).json(&body).send().await.json();
        let text = made["credential"]["blob"].as_str().unwrap();
        let mut expected = json!({"access": name, "secret": "s", "more": 1});
        if let Some((name, id)) = member {
            expected[name] = id.into();
        }
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), expected, "{token}");
        assert_eq!(world.stored(name).await.unwrap().delegation, Some(delegation.clone()));

        let body = json!({"tenant_id": DEMO});
        let made = world.post(&pairs(ALICE, "")).token(&token).json(&body).send().await.json();
        let trust_id = if name == "trust" { json!("t") } else { Value::Null };
        assert_eq!(made["credential"]["trust_id"], trust_id, "{token}");
        let access = made["credential"]["access"].as_str().unwrap();
        assert_eq!(world.stored(access).await.unwrap().delegation, Some(delegation));
        let shown = world.get(&one(&id_of(access))).token("dev-alice").send().await.json();
        let blob: Value =
            serde_json::from_str(shown["credential"]["blob"].as_str().unwrap()).unwrap();
        if let Some((name, id)) = member {
            assert_eq!(blob[name], id, "{blob}");
        }

        // Neither the caller nor its user shakes it off again.
        for token in [&*token, "dev-alice", "dev-admin"] {
            let bare = change(&blob_of(access, "s"));
            let expected = if member.is_some() { 400 } else { 200 };
            let patched = status(&world, token, "PATCH", &one(&id_of(access)), &bare).await;
            assert_eq!(patched, expected, "{token}");
        }
        assert!(world.stored(access).await.unwrap().delegation.is_some());
    }
}

/// What `s3tokens` says of the key `key`, which a caller with this token made.
async fn redeemed(signing: &Signing) -> (u16, Value) {
    let answer = signing.ask(S3TOKENS, &s3_v4("key", SECRET, TIME, SCOPE)).await;
    (answer.status.as_u16(), answer.json()["token"].take())
}

async fn made_by(token: &str) -> Signing {
    let within = policy(DelegatedCallers::WithinProject);
    let signing = Signing::with(|builder| builder.policy(within)).await;
    let body = pair_of(ALICE, DEMO, &blob_of("key", SECRET));
    let made = signing.world.post(CREDENTIALS).token(token).json(&body).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    signing
}

#[tokio::test]
async fn a_key_made_under_a_delegation_gives_the_roles_of_that_as_long_as_it_stands() {
    for (token, delegation, name, shown) in [
        ("trust-alice", trust(), "OS-TRUST:trust", json!({"id": "t"})),
        (
            "app-alice",
            app(false),
            "application_credential",
            json!({"id": "a", "restricted": false}),
        ),
        ("oauth-alice", access_token(), "OS-OAUTH1", json!({"access_token_id": "o"})),
    ] {
        let signing = made_by(token).await;
        assert_eq!(redeemed(&signing).await.0, 401, "{token}: it does not stand yet");
        for project in [Some(DEMO), None] {
            signing.registry.delegate(delegation.clone(), ALICE, project, &["narrow"]);
            let (status, body) = redeemed(&signing).await;
            assert_eq!(status, 200, "{token}");
            assert_eq!(body["roles"], json!([{"id": "id-of-narrow", "name": "narrow"}]));
            assert_eq!(body[name], shown, "{body}");
            assert_eq!(body.get("is_domain").is_none(), token == "trust-alice", "{body}");
            assert_eq!(body["user"]["id"], ALICE);
        }
        signing.registry.delegate(delegation.clone(), ALICE, Some(OTHER), &["narrow"]);
        assert_eq!(redeemed(&signing).await.0, 401, "{token}: another project");
        signing.registry.delegate(delegation.clone(), BOB, Some(DEMO), &["narrow"]);
        assert_eq!(redeemed(&signing).await.0, 401, "{token}: another user");
        signing.registry.delegate(delegation.clone(), ALICE, Some(DEMO), &[]);
        assert_eq!(redeemed(&signing).await.0, 401, "{token}: no role");
        signing.registry.delegate(delegation.clone(), ALICE, Some(DEMO), &["narrow"]);
        assert_eq!(redeemed(&signing).await.0, 200, "{token}");
        signing.registry.revoke(&delegation);
        assert_eq!(redeemed(&signing).await.0, 401, "{token}: it has ended");
    }
    assert_eq!(redeemed(&made_by("method-alice").await).await.0, 401, "nobody knows what that was");
}

#[tokio::test]
async fn delegated_services_validate_signatures() {
    let signing = Signing::new().await;
    let body = s3_v4(crate::common::v3::ACCESS, SECRET, TIME, SCOPE);
    for name in NAMES {
        for (whose, expected) in [("service", 200), ("admin", 200), ("alice", 403)] {
            let token = format!("{name}-{whose}");
            assert_eq!(status(&signing.world, &token, "POST", S3TOKENS, &body).await, expected);
        }
    }
}
