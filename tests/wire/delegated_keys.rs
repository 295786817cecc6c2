//! The rights of keys that delegated callers created.

use serde_json::{Value, json};
use tower_credentials::{domain::Delegation, policy::DelegatedCallers};

use crate::{
    delegated_callers::{NAMES, SCOPE, TIME, policy, status, world_where},
    signer::s3_v4,
    world::{
        ALICE, BOB, DEMO, OTHER,
        v3::{
            ACCESS, CREDENTIALS, S3TOKENS, SECRET, Signing, access_token, app, blob_of, change,
            credential_path, ec2_path, id_of, pair_of, trust,
        },
    },
};

#[tokio::test]
async fn credentials_of_a_delegated_caller_carry_its_delegation_on_every_path() {
    let world = world_where(DelegatedCallers::WithinProject);
    for (name, delegation, member) in [
        ("trust", trust(), Some(("trust_id", "t"))),
        ("app", app(false), Some(("app_cred_id", "a"))),
        ("oauth", access_token(), Some(("access_token_id", "o"))),
        ("method", Delegation::Other, None),
    ] {
        let token = format!("{name}-alice");
        let mut expected = json!({"access": name, "secret": "s", "more": 1});
        for foreign in ["trust_id", "app_cred_id", "access_token_id"] {
            let mut forged = expected.clone();
            forged[foreign] = "forged".into();
            let body = pair_of(ALICE, DEMO, &forged.to_string());
            let refused = status(&world, &token, "POST", CREDENTIALS, &body).await;
            assert_eq!(refused, 400, "{token} {foreign}");
        }
        // The caller may name its own delegation, but need not.
        let mut named = expected.clone();
        named["trust_id"] = Value::Null;
        if let Some((name, id)) = member.filter(|_| name != "app") {
            named[name] = id.into();
        }
        let body = pair_of(ALICE, DEMO, &named.to_string());
        let made = world.post(CREDENTIALS).token(&token).json(&body).send().await.json();
        let text = made["credential"]["blob"].as_str().unwrap();
        match member {
            Some((name, id)) => expected[name] = id.into(),
            None => expected["trust_id"] = Value::Null,
        }
        if name == "oauth" {
            expected["trust_id"] = Value::Null;
        }
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), expected, "{token}");
        assert_eq!(world.stored(name).await.unwrap().delegation, Some(delegation.clone()));

        let body = json!({"tenant_id": DEMO});
        let made = world.post(&ec2_path(ALICE, "")).token(&token).json(&body).send().await.json();
        let trust_id = if name == "trust" { json!("t") } else { Value::Null };
        assert_eq!(made["credential"]["trust_id"], trust_id, "{token}");
        let access = made["credential"]["access"].as_str().unwrap();
        assert_eq!(world.stored(access).await.unwrap().delegation, Some(delegation));
        let shown =
            world.get(&credential_path(&id_of(access))).token("dev-alice").send().await.json();
        let blob: Value =
            serde_json::from_str(shown["credential"]["blob"].as_str().unwrap()).unwrap();
        if let Some((name, id)) = member {
            assert_eq!(blob[name], id, "{blob}");
        }

        // Neither the caller nor its user can remove the delegation.
        let by_user = if member.is_some() { 400 } else { 200 };
        for (token, expected) in [(&*token, 403), ("dev-alice", by_user), ("dev-admin", by_user)] {
            let bare = change(&blob_of(access, "s"));
            let patched =
                status(&world, token, "PATCH", &credential_path(&id_of(access)), &bare).await;
            assert_eq!(patched, expected, "{token}");
        }
        assert!(world.stored(access).await.unwrap().delegation.is_some());
    }
}

/// The response of `s3tokens` about the key `key`, which a caller with this token created.
async fn redeemed(signing: &Signing) -> (u16, Value) {
    let answer = signing.send(S3TOKENS, &s3_v4("key", SECRET, TIME, SCOPE)).await;
    (answer.status.as_u16(), answer.json()["token"].take())
}

async fn created_by(token: &str) -> Signing {
    let within = policy(DelegatedCallers::WithinProject);
    let signing = Signing::with(|builder| builder.policy(within)).await;
    let body = pair_of(ALICE, DEMO, &blob_of("key", SECRET));
    let made = signing.world.post(CREDENTIALS).token(token).json(&body).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    signing
}

#[tokio::test]
async fn key_of_a_delegation_gives_the_roles_of_the_delegation_while_it_is_valid() {
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
        let signing = created_by(token).await;
        assert_eq!(redeemed(&signing).await.0, 401, "{token}: not valid yet");
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
        assert_eq!(redeemed(&signing).await.0, 401, "{token}: revoked");
    }
    assert_eq!(redeemed(&created_by("method-alice").await).await.0, 401, "unknown delegation");
}

#[tokio::test]
async fn delegated_services_validate_signatures() {
    let signing = Signing::new().await;
    let body = s3_v4(ACCESS, SECRET, TIME, SCOPE);
    for name in NAMES {
        for (whose, expected) in [("service", 200), ("admin", 200), ("alice", 403)] {
            let token = format!("{name}-{whose}");
            assert_eq!(status(&signing.world, &token, "POST", S3TOKENS, &body).await, expected);
        }
    }
}
