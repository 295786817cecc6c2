//! Past vulnerabilities of Keystone, with a test for each.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tower_credentials::{
    domain::Caller,
    policy::{Action, Decision, DelegatedCallers, ListScope, Policy, RolePolicy, Target},
};

use crate::{
    signer::{ec2_old, s3_v1, s3_v4},
    world::{
        ALICE, BOB, CAROL, DEMO, OTHER, World, pair,
        v3::{
            ACCESS, CREDENTIALS, EC2TOKENS, S3TOKENS, SECOND, SECRET, Signing, TTL, access_token,
            app, assert_refused, blob_of, change, create, credential_path, ec2, ec2_path, id_of,
            ids, opaque, pair_of, trust, world, world_with,
        },
    },
};

const TIME: &str = "20260102T030405Z";
const SCOPE: &str = "20260102/us-east-1/s3/aws4_request";

fn within_project() -> RolePolicy {
    let mut policy = RolePolicy::keystone();
    policy.delegated = DelegatedCallers::WithinProject;
    policy
}

async fn status(world: &World, token: &str, method: &str, uri: &str, body: &Value) -> u16 {
    world.call(method, uri).token(token).json(body).send().await.status.as_u16()
}

/// Lets every list query all records, and decides about each record as usual.
#[derive(Debug)]
struct WideLists(RolePolicy);

impl Policy for WideLists {
    fn decide(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision {
        self.0.decide(caller, action, target)
    }

    fn list_scope(&self, _: &Caller, _: Action) -> Option<ListScope> {
        Some(ListScope::All)
    }

    fn requires_place(&self, action: Action) -> bool {
        self.0.requires_place(action)
    }
}

#[tokio::test]
async fn cve_2019_19687_list_rechecks_each_record_against_its_own_owner() {
    // The records are checked even if the query is too wide.
    for world in [world(), world_with(|b| b.policy(WideLists(RolePolicy::keystone())))] {
        for (user, access) in [(ALICE, "a"), (BOB, "b"), (CAROL, "c")] {
            create(&world, &ec2(user, DEMO, access)).await;
            create(&world, &opaque(user, "totp", "x")).await;
        }
        for token in ["dev-bob", "reader-bob", "unscoped-bob"] {
            for query in ["", "?type=ec2", "?type__contains=2", &format!("?user_id={BOB}&type=ec2")]
            {
                let uri = format!("{CREDENTIALS}{query}");
                let body = world.get(&uri).token(token).send().await.json();
                let list = body["credentials"].as_array().unwrap();
                assert!(!list.is_empty(), "{token} {query}");
                assert!(list.iter().all(|it| it["user_id"] == BOB), "{token} {query}");
            }
            for query in [format!("user_id={ALICE}"), format!("user_id__startswith={ALICE}")] {
                let uri = format!("{CREDENTIALS}?{query}");
                assert!(ids(&world.get(&uri).token(token).send().await).is_empty(), "{query}");
            }
        }
    }
}

#[tokio::test]
async fn cve_2020_12689_key_created_with_a_delegated_token_is_bound_to_that_delegation() {
    for (token, delegation) in [("trust-alice", trust()), ("app-alice", app(false))] {
        let signing = Signing::with(|builder| builder.policy(within_project())).await;
        let body = pair_of(ALICE, DEMO, &blob_of("key", SECRET));
        assert_eq!(status(&signing.world, token, "POST", CREDENTIALS, &body).await, 201);
        signing.registry.set_roles(ALICE, DEMO, &["admin"]);
        signing.registry.delegate(delegation, ALICE, Some(DEMO), &["reader"]);
        let redeemed = signing.send(S3TOKENS, &s3_v4("key", SECRET, TIME, SCOPE)).await.json();
        let roles = json!([{"id": "id-of-reader", "name": "reader"}]);
        assert_eq!(redeemed["token"]["roles"], roles, "not the user's own roles");
    }
}

#[tokio::test]
async fn cve_2020_12691_change_cannot_move_a_credential_to_another_user_or_project() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "b")).await;
    for (name, value) in [("user_id", ALICE), ("project_id", OTHER), ("type", "cert")] {
        let mut body = change(&blob_of("b", "s"));
        body["credential"][name] = value.into();
        for token in ["dev-bob", "dev-admin"] {
            let patched =
                status(&world, token, "PATCH", &credential_path(&id_of("b")), &body).await;
            assert_eq!(patched, 400, "{token} {name}");
        }
    }
    for name in ["trust_id", "app_cred_id", "access_token_id"] {
        let blob = json!({"access": "b", "secret": "s", name: "x"}).to_string();
        assert_eq!(
            status(&world, "dev-bob", "PATCH", &credential_path(&id_of("b")), &change(&blob)).await,
            400
        );
    }
    let stored = world.stored("b").await.unwrap();
    assert_eq!(
        (stored.user_id.as_str(), stored.project_id.as_ref().unwrap().as_str()),
        (BOB, DEMO)
    );
    assert_eq!(stored.secret_key().unwrap().expose(), "secret-of-b");
}

#[tokio::test]
async fn cve_2020_12690_key_created_with_an_oauth1_token_gives_the_roles_of_that_token() {
    let signing = Signing::with(|builder| builder.policy(within_project())).await;
    let body = json!({"tenant_id": DEMO});
    let made =
        signing.world.post(&ec2_path(ALICE, "")).token("oauth-alice").json(&body).send().await;
    let made = made.json()["credential"].take();
    let [access, secret] = ["access", "secret"].map(|name| made[name].as_str().unwrap());
    let signed = ec2_old(2, access, secret, "2026-01-02T03:04:05Z");
    assert_eq!(signing.status(EC2TOKENS, &signed).await, 401, "not the user's own roles");
    signing.registry.delegate(access_token(), ALICE, Some(DEMO), &["reader"]);
    let redeemed = signing.send(EC2TOKENS, &signed).await.json();
    assert_eq!(redeemed["token"]["roles"], json!([{"id": "id-of-reader", "name": "reader"}]));
    assert_eq!(redeemed["token"]["OS-OAUTH1"]["access_token_id"], "o");
    assert_eq!(signing.issuer.signers()[0].delegation, Some(access_token()));
}

#[tokio::test]
async fn cve_2020_12692_signed_requests_expire() {
    let signing = Signing::new().await;
    let mut bodies = vec![
        (S3TOKENS, s3_v4(ACCESS, SECRET, TIME, SCOPE)),
        (S3TOKENS, s3_v1(ACCESS, SECRET, "Fri, 02 Jan 2026 03:04:05 GMT")),
    ];
    bodies
        .extend((0..3).map(|it| (EC2TOKENS, ec2_old(it, ACCESS, SECRET, "2026-01-02T03:04:05Z"))));
    signing.world.clock.advance(TTL);
    for (path, body) in &bodies {
        assert_eq!(signing.status(path, body).await, 200, "{body}");
    }
    signing.world.clock.advance(SECOND);
    for (path, body) in &bodies {
        assert_eq!(signing.status(path, body).await, 401, "{body}");
    }
}

#[tokio::test]
async fn cve_2025_65073_signatures_are_validated_for_services_and_admins_only() {
    let signing = Signing::new().await;
    let s3 = s3_v4(ACCESS, SECRET, TIME, SCOPE);
    let ec2 = ec2_old(2, ACCESS, SECRET, "2026-01-02T03:04:05Z");
    for (path, body) in [(S3TOKENS, s3), (EC2TOKENS, ec2)] {
        assert_refused(&signing.world.post(path).json(&body).send().await, 401);
        for (token, expected) in
            [("dev-bob", 403), ("dev-reader", 403), ("dev-service", 200), ("dev-admin", 200)]
        {
            assert_eq!(
                status(&signing.world, token, "POST", path, &body).await,
                expected,
                "{token}"
            );
        }
    }
}

#[tokio::test]
async fn cve_2026_33551_restricted_application_credentials_and_readers_create_no_key_pairs() {
    let world = world_with(|builder| builder.policy(within_project()));
    create(&world, &ec2(BOB, DEMO, "b")).await;
    let tenant = json!({"tenant_id": DEMO});
    let paths =
        [(CREDENTIALS.into(), ec2(ALICE, DEMO, "x")), (ec2_path(ALICE, ""), tenant.clone())];
    for (uri, body) in paths {
        assert_eq!(status(&world, "restricted-alice", "POST", &uri, &body).await, 403, "{uri}");
    }
    assert_eq!(status(&world, "reader-bob", "POST", &ec2_path(BOB, ""), &tenant).await, 403);
    assert_eq!(status(&world, "reader-bob", "DELETE", &ec2_path(BOB, "/b"), &tenant).await, 403);
    assert!(world.is_usable("b").await);
}

#[tokio::test]
async fn cve_2026_43001_application_credential_creates_and_uses_keys_of_its_project_only() {
    let signing = Signing::with(|builder| builder.policy(within_project())).await;
    let elsewhere = ec2(ALICE, OTHER, "x");
    assert_eq!(status(&signing.world, "app-alice", "POST", CREDENTIALS, &elsewhere).await, 403);
    let tenant = json!({"tenant_id": OTHER});
    assert_eq!(
        status(&signing.world, "app-alice", "POST", &ec2_path(ALICE, ""), &tenant).await,
        403
    );

    let body = pair_of(ALICE, DEMO, &blob_of("key", SECRET));
    assert_eq!(status(&signing.world, "app-alice", "POST", CREDENTIALS, &body).await, 201);
    for (project, expected) in [(DEMO, 200), (OTHER, 401)] {
        signing.registry.delegate(app(false), ALICE, Some(project), &["member"]);
        let redeemed = signing.status(S3TOKENS, &s3_v4("key", SECRET, TIME, SCOPE)).await;
        assert_eq!(redeemed, expected, "{project}");
    }
}

#[tokio::test]
async fn lp_2150089_delegated_tokens_reach_only_credentials_of_exactly_their_project() {
    let world = world_with(|builder| builder.policy(within_project()));
    create(&world, &ec2(ALICE, DEMO, "here")).await;
    create(&world, &ec2(ALICE, OTHER, "there")).await;
    let totp = create(&world, &opaque(ALICE, "totp", "seed")).await;
    let totp = totp["id"].as_str().unwrap();
    for token in ["trust-alice", "app-alice", "restricted-alice", "oauth-alice", "method-alice"] {
        let list = world.get(CREDENTIALS).token(token).send().await;
        assert_eq!(ids(&list), [id_of("here")], "{token}");
        for id in [totp, &id_of("there")] {
            for method in ["GET", "PATCH", "DELETE"] {
                let body = change(&blob_of("there", "s"));
                assert_eq!(
                    status(&world, token, method, &credential_path(id), &body).await,
                    403,
                    "{token}"
                );
            }
        }
    }
    assert!(world.is_usable("there").await);
}

/// Records the arguments of every decision.
#[derive(Clone, Debug)]
struct RecordingPolicy {
    decisions: Arc<Mutex<String>>,
    policy: RolePolicy,
}

impl Policy for RecordingPolicy {
    fn decide(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision {
        writeln!(self.decisions.lock().unwrap(), "{caller:?} {action:?} {target:?}").unwrap();
        self.policy.decide(caller, action, target)
    }

    fn list_scope(&self, caller: &Caller, action: Action) -> Option<ListScope> {
        self.policy.list_scope(caller, action)
    }

    fn requires_place(&self, action: Action) -> bool {
        self.policy.requires_place(action)
    }
}

#[tokio::test]
async fn cve_2026_42999_bodies_and_queries_never_reach_the_policy() {
    let recording = RecordingPolicy { decisions: Arc::default(), policy: RolePolicy::keystone() };
    let world = world_with(|builder| builder.policy(recording.clone()));
    create(&world, &ec2(ALICE, DEMO, "a")).await;
    let query = format!(
        "?user_id={BOB}&target.credential.user_id={BOB}&credential.user_id={BOB}&injected=injected"
    );
    let mut body = change(&blob_of("a", "injected"));
    body["credential"]["target"] = json!({"credential": {"user_id": BOB}});
    body["user_id"] = BOB.into();
    body["target.credential.user_id"] = BOB.into();
    body["roles"] = json!(["admin"]);
    for (method, uri) in [
        ("GET", credential_path(&id_of("a"))),
        ("PATCH", credential_path(&id_of("a"))),
        ("DELETE", credential_path(&id_of("a"))),
        ("GET", ec2_path(ALICE, "/a")),
        ("GET", ec2_path(ALICE, "")),
        ("DELETE", ec2_path(ALICE, "/a")),
    ] {
        let refused = status(&world, "dev-bob", method, &format!("{uri}{query}"), &body).await;
        assert_eq!(refused, 403, "{method} {uri}");
    }
    let tenant = json!({"tenant_id": DEMO, "user_id": BOB, "target": {"user_id": BOB}});
    let uri = format!("{}{query}", ec2_path(ALICE, ""));
    assert_eq!(status(&world, "dev-bob", "POST", &uri, &tenant).await, 403);
    assert!(!recording.decisions.lock().unwrap().contains("injected"));
}

/// The user of a redeemed key comes from the record, not from the request. The layer does not
/// manage trusts.
#[tokio::test]
async fn cve_2026_42998_and_43000_signer_comes_from_the_stored_record_alone() {
    let signing = Signing::with(|builder| builder.policy(within_project())).await;
    let mut body = s3_v4(ACCESS, SECRET, TIME, SCOPE);
    for (name, value) in [
        ("user_id", json!(ALICE)),
        ("user", json!({"id": ALICE})),
        ("project_id", json!(OTHER)),
        ("trust_id", json!("t")),
        ("app_cred_id", json!("a")),
    ] {
        body["credentials"][name] = value.clone();
        body[name] = value;
    }
    signing.registry.delegate(trust(), ALICE, None, &["admin"]);
    let token = signing.send(S3TOKENS, &body).await.json()["token"].take();
    assert_eq!((&token["user"]["id"], &token["project"]["id"]), (&json!(BOB), &json!(DEMO)));
    assert_eq!(token["roles"][0]["name"], "member");
    assert!(token.get("OS-TRUST:trust").is_none());

    let body = pair_of(ALICE, DEMO, &blob_of("key", SECRET));
    assert_eq!(status(&signing.world, "app-alice", "POST", CREDENTIALS, &body).await, 201);
    signing.registry.delegate(app(false), BOB, Some(DEMO), &["admin"]);
    let redeemed = signing.status(S3TOKENS, &s3_v4("key", SECRET, TIME, SCOPE)).await;
    assert_eq!(redeemed, 401, "the delegation of another user");
    let trusts = signing.world.post("/v3/OS-TRUST/trusts").token("app-alice").send().await;
    assert_eq!(trusts.status, 418, "passes through");
}

/// Fixed in Keystone by commit 910ebab.
#[tokio::test]
async fn commit_910ebab_token_obtained_with_a_key_is_rejected_by_this_api() {
    let world = world_with(|builder| builder.policy(within_project()));
    create(&world, &ec2(ALICE, DEMO, "a")).await;
    for (method, uri) in [
        ("GET", CREDENTIALS.into()),
        ("POST", CREDENTIALS.into()),
        ("GET", credential_path(&id_of("a"))),
        ("PATCH", credential_path(&id_of("a"))),
        ("DELETE", credential_path(&id_of("a"))),
        ("GET", ec2_path(ALICE, "")),
        ("POST", ec2_path(ALICE, "")),
        ("GET", ec2_path(ALICE, "/a")),
        ("DELETE", ec2_path(ALICE, "/a")),
        ("POST", S3TOKENS.into()),
    ] {
        let mut body = ec2(ALICE, DEMO, "x");
        if method == "PATCH" {
            body = change(&blob_of("a", "s"));
        }
        for token in ["ec2-alice", "ec2-admin", "ec2-service"] {
            assert_eq!(status(&world, token, method, &uri, &body).await, 403, "{token} {uri}");
        }
    }
}

#[tokio::test]
async fn by_design_claimed_delegations_are_refused_and_policies_see_no_blob() {
    let recording = RecordingPolicy { decisions: Arc::default(), policy: RolePolicy::keystone() };
    let world = world_with(|builder| builder.policy(recording.clone()));
    for name in ["trust_id", "app_cred_id", "access_token_id"] {
        for claim in [json!("claimed"), json!(""), json!(7), json!({}), json!(false)] {
            let claims = json!({"access": "k", "secret": "hunter2", name: claim});
            let body = pair_of(BOB, DEMO, &claims.to_string());
            for token in ["dev-bob", "dev-admin"] {
                let refused = status(&world, token, "POST", CREDENTIALS, &body).await;
                assert_eq!(refused, 400, "{token} {claims}");
            }
            let mut body = json!({"tenant_id": DEMO});
            body[name] = claim.clone();
            let mut beside = json!({"auth": {}, "OS-KSEC2-ec2Credentials": {"tenant_id": DEMO}});
            beside[name] = claim.clone();
            for uri in [ec2_path(BOB, ""), format!("/v2.0/users/{BOB}/credentials/OS-EC2")] {
                assert_eq!(status(&world, "dev-bob", "POST", &uri, &body).await, 400, "{uri}");
                assert_eq!(status(&world, "dev-bob", "POST", &uri, &beside).await, 400, "{uri}");
            }
            let (mut inside, mut beside) = (pair(BOB, DEMO, "k"), pair(BOB, DEMO, "k"));
            inside["credential"]["blob"][name] = claim.clone();
            beside["credential"][name] = claim.clone();
            for body in [inside, beside] {
                assert_eq!(status(&world, "dev-bob", "POST", "/credentials", &body).await, 400);
            }
            let mut beside = pair_of(BOB, DEMO, r#"{"access":"k","secret":"hunter2"}"#);
            beside["credential"][name] = claim.clone();
            assert_eq!(status(&world, "dev-bob", "POST", CREDENTIALS, &beside).await, 400);
            let mut beside = pair_of(BOB, DEMO, r#"{"access":"k","secret":"hunter2"}"#);
            beside["credential"][name.replace('_', "-")] = claim.clone();
            assert_eq!(status(&world, "dev-bob", "POST", CREDENTIALS, &beside).await, 400);
            let mut grant = json!({"username": "k", "secret": "hunter2", "signature": ""});
            grant[name] = claim;
            let grant = json!({"OS-KSEC2-ec2Credentials": grant});
            let uri = format!("/v2.0/users/{BOB}/OS-KSADM/credentials");
            assert_eq!(status(&world, "dev-admin", "POST", &uri, &grant).await, 400);
        }
    }
    assert!(world.stored("k").await.is_none());

    let body = pair_of(
        BOB,
        DEMO,
        &json!({
            "access": "k", "secret": "hunter2", "trust_id": null, "app_cred_id": null,
        })
        .to_string(),
    );
    let made = world.post(CREDENTIALS).token("dev-bob").json(&body).send().await;
    assert_eq!(made.status, 201);
    assert!(world.stored("k").await.unwrap().delegation.is_none());
    // The blobs of other types may have these members.
    let body =
        json!({"credential": {"type": "totp", "user_id": BOB, "blob": r#"{"trust_id":"x"}"#}});
    assert_eq!(status(&world, "dev-bob", "POST", CREDENTIALS, &body).await, 201);
    world.get(CREDENTIALS).token("dev-bob").send().await;
    world.get(&credential_path(&id_of("k"))).token("dev-bob").send().await;
    let decisions = recording.decisions.lock().unwrap().clone();
    assert!(decisions.contains("CreateCredential"), "{decisions}");
    for secret in ["hunter2", "claimed", "access\\"] {
        assert!(!decisions.contains(secret), "{decisions}");
    }
}
