//! E1 to E4 and K13: key pairs through OS-EC2.

use serde_json::{Value, json};
use tower_credentials::{
    domain::{CredentialId, Material, Quota},
    policy::RolePolicy,
};

use crate::common::{
    ALICE, BOB, CAROL, DAVE, DEMO, OTHER, World,
    registry::Registry,
    v3::{
        accesses, assert_framed, assert_refused, ec2, id_of, make, opaque, pairs, world, world_with,
    },
};

/// The prefixes under which the same is answered.
const PREFIXES: [&str; 2] = ["/v3", "/v2.0"];

fn under(prefix: &str, user: &str, rest: &str) -> String {
    format!("{prefix}/users/{user}/credentials/OS-EC2{rest}")
}

async fn status(world: &World, method: &str, uri: &str, token: &str) -> u16 {
    let call = world.call(method, uri).token(token).json(&json!({"tenant_id": DEMO}));
    call.send().await.status.as_u16()
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| b"0123456789abcdef".contains(&b))
}

/// E2 and K13.
#[tokio::test]
async fn e2_makes_both_keys_and_answers_with_them() {
    let world = world();
    for prefix in PREFIXES {
        let uri = under(prefix, BOB, "");
        let call = world.post(&uri).token("dev-bob").header("host", "keys.test");
        let answer = call.json(&json!({"tenant_id": DEMO, "x": 1})).send().await;
        assert_eq!(answer.status, 201, "{prefix}");
        assert_framed(&answer);
        assert!(answer.text().ends_with("}\n"));
        let body = answer.json();
        let made = &body["credential"];
        let [access, secret] = ["access", "secret"].map(|name| made[name].as_str().unwrap());
        assert!(is_hex(access, 32) && is_hex(secret, 48), "{made}");
        let expected = json!({"credential": {
            "user_id": BOB, "tenant_id": DEMO, "access": access, "secret": secret,
            "trust_id": null,
            "links": {"self": format!("http://keys.test{uri}/{access}")},
        }});
        assert_eq!(body, expected);

        let shown = world.get(&format!("{uri}/{access}")).token("dev-bob");
        let shown = shown.header("host", "keys.test").send().await;
        assert_eq!((shown.status.as_u16(), shown.json()), (200, expected));
        let stored = world.stored(access).await.unwrap();
        assert!(stored.is_usable() && stored.delegation.is_none());
        assert_eq!(stored.id, CredentialId::of(stored.access_key.as_ref().unwrap()));
        assert_eq!(stored.secret_key().unwrap().expose(), secret);
    }
    let list = world.get(&pairs(BOB, "")).token("dev-bob").send().await;
    assert_eq!(accesses(&list).len(), 2);
}

/// E2.
#[tokio::test]
async fn e2_is_for_admins_and_for_members_themselves_in_any_project() {
    let world = world();
    for (token, user, expected) in [
        ("dev-bob", BOB, 201),
        ("dev-bob", ALICE, 403),
        ("reader-bob", BOB, 403),
        ("dev-reader", BOB, 403),
        ("key-user", ALICE, 403),
        ("system-member", ALICE, 201),
        ("domain-alice", ALICE, 403),
        ("unscoped-bob", BOB, 403),
        ("dev-admin", BOB, 201),
        ("system-admin", CAROL, 201),
        ("domain-admin", BOB, 403),
        ("unscoped-admin", ALICE, 403),
        ("system-reader", BOB, 403),
        ("dev-service", BOB, 403),
    ] {
        for project in [DEMO, OTHER] {
            let call = world.post(&pairs(user, "")).token(token);
            let answer = call.json(&json!({"tenant_id": project})).send().await;
            assert_eq!(answer.status, expected, "{token} {user} {project}");
            if expected == 403 {
                assert_refused(&answer, 403);
                assert!(answer.text().contains("identity:ec2_create_credential."));
            }
        }
    }
}

/// E2.
#[tokio::test]
async fn e2_a_project_that_is_missing_or_unknown_is_404_and_no_text_400() {
    let world = world();
    for (body, status) in [
        (json!({}), 404),
        (json!({"tenant_id": null}), 404),
        (json!({"tenant_id": ""}), 404),
        (json!({"tenant_id": "a/b"}), 404),
        (json!({"tenant_id": "x".repeat(300)}), 404),
        (json!({"tenant_id": "unknown"}), 404),
        (json!({ "project_id": DEMO }), 404),
        (json!({"tenant_id": 5}), 400),
        (json!({ "tenant_id": [DEMO] }), 400),
        (json!([DEMO]), 400),
        (json!("x"), 400),
    ] {
        let answer = world.post(&pairs(BOB, "")).token("dev-bob").json(&body).send().await;
        assert_eq!(answer.status, status, "{body}");
        assert_refused(&answer, status);
    }
    assert_refused(&world.post(&pairs(BOB, "")).token("dev-bob").send().await, 404);
    let broken = world.post(&pairs(BOB, "")).token("dev-bob").text("application/json", "{");
    assert_refused(&broken.send().await, 400);
    for (user, token, expected) in
        [("unknown", "dev-admin", 404), ("unknown", "dev-bob", 403), (DEMO, "dev-admin", 404)]
    {
        assert_eq!(status(&world, "POST", &pairs(user, ""), token).await, expected, "{user}");
    }
    let list = world.get(&pairs(BOB, "")).token("dev-bob").send().await;
    assert!(accesses(&list).is_empty());
}

/// E2.
#[tokio::test]
async fn e2_a_full_quota_and_whoever_is_disabled_are_403() {
    let registry = std::sync::Arc::new(Registry::new());
    let world = world_with(|builder| builder.quota(Quota::AtMost(1)).directory(registry.clone()));
    assert_eq!(status(&world, "POST", &pairs(BOB, ""), "dev-bob").await, 201);
    assert_eq!(status(&world, "POST", &pairs(BOB, ""), "dev-bob").await, 403);
    registry.set_user(ALICE, Some(false));
    assert_eq!(status(&world, "POST", &pairs(ALICE, ""), "dev-admin").await, 403);
    registry.set_user(ALICE, Some(true));
    registry.set_project(DEMO, Some(false));
    assert_eq!(status(&world, "POST", &pairs(ALICE, ""), "dev-admin").await, 403);
    registry.set_project(DEMO, Some(true));
    assert_eq!(status(&world, "POST", &pairs(ALICE, ""), "dev-admin").await, 201);
}

/// E1 and K13.
#[tokio::test]
async fn e1_lists_the_key_pairs_of_the_user_in_the_path_and_nothing_else() {
    let world = world();
    for body in [ec2(BOB, DEMO, "b1"), ec2(BOB, OTHER, "b2"), ec2(ALICE, DEMO, "a")] {
        make(&world, &body).await;
    }
    make(&world, &opaque(BOB, "totp", "x")).await;
    make(&world, &opaque(BOB, "cert", r#"{"access":"c","secret":"s"}"#)).await;
    for prefix in PREFIXES {
        let uri = under(prefix, BOB, "");
        for (token, expected) in [
            ("dev-bob", 200),
            ("reader-bob", 200),
            ("system-reader", 200),
            ("dev-admin", 200),
            ("system-admin", 200),
            ("dev-alice", 403),
            ("domain-admin", 403),
            ("domain-reader", 403),
            ("unscoped-bob", 403),
            ("unscoped-admin", 403),
            ("project-reader", 403),
            ("dev-service", 403),
        ] {
            let answer = world.get(&uri).token(token).send().await;
            assert_eq!(answer.status, expected, "{token}");
            if expected == 200 {
                let mut found = accesses(&answer);
                found.sort();
                assert_eq!(found, ["b1", "b2"], "{token}");
                let links = json!({"self": uri, "previous": null, "next": null});
                assert_eq!(answer.json()["links"], links);
            } else {
                assert_refused(&answer, 403);
                assert!(answer.text().contains("identity:ec2_list_credentials."));
            }
        }
        let unknown = under(prefix, "unknown", "");
        assert_eq!(status(&world, "GET", &unknown, "dev-admin").await, 404);
        assert_eq!(status(&world, "GET", &unknown, "dev-bob").await, 403);
        let none = world.get(&under(prefix, DAVE, "/")).token("dev-admin").send().await;
        assert!(accesses(&none).is_empty());
    }
}

/// E1.
#[tokio::test]
async fn e1_has_pages_with_next_links_that_lead_to_the_end() {
    let world = world();
    for number in 0..5 {
        make(&world, &ec2(BOB, DEMO, &format!("b{number}"))).await;
        make(&world, &ec2(ALICE, DEMO, &format!("a{number}"))).await;
    }
    let (mut found, mut uri) = (Vec::new(), Some(pairs(BOB, "?limit=2&x=y")));
    while let Some(at) = uri {
        let answer = world.get(&at).token("dev-bob").send().await;
        found.extend(accesses(&answer));
        uri = answer.json()["links"]["next"].as_str().map(ToOwned::to_owned);
    }
    found.sort();
    assert_eq!(found, ["b0", "b1", "b2", "b3", "b4"]);
    for (query, expected) in [
        ("?limit=x".into(), 400),
        ("?marker=missing".into(), 404),
        (format!("?marker={}", id_of("a0")), 404),
        (format!("?marker={}", id_of("b0")), 200),
    ] {
        assert_eq!(
            status(&world, "GET", &pairs(BOB, &query), "dev-bob").await,
            expected,
            "{query}"
        );
    }
}

/// E3, E4 and K13.
#[tokio::test]
async fn e3_and_e4_tell_unknown_keys_from_somebody_elses() {
    let world = world();
    make(&world, &ec2(ALICE, DEMO, "a")).await;
    make(&world, &opaque(ALICE, "cert", r#"{"access":"c"}"#)).await;
    for prefix in PREFIXES {
        for method in ["GET", "DELETE"] {
            for (token, rest, expected) in [
                ("dev-bob", "/missing", 404),
                ("dev-admin", "/missing", 404),
                ("dev-bob", "/a", 403),
                ("dev-service", "/a", 403),
                ("domain-admin", "/a", 403),
                ("unscoped-admin", "/a", 403),
                ("dev-bob", "/c", 404),
                ("dev-alice", &*format!("/{}", id_of("a")), 404),
                ("dev-admin", "/A", 404),
            ] {
                for user in [ALICE, BOB] {
                    let uri = under(prefix, user, rest);
                    assert_eq!(
                        status(&world, method, &uri, token).await,
                        expected,
                        "{token} {uri}"
                    );
                }
            }
            let uri = under(prefix, "unknown", "/a");
            assert_eq!(status(&world, method, &uri, "dev-admin").await, 404, "{method}");
        }
    }
    let refused = world.delete(&pairs(ALICE, "/a")).token("dev-bob").send().await;
    assert_refused(&refused, 403);
    assert!(refused.text().contains("identity:ec2_delete_credential."));
    let missing = world.get(&pairs(ALICE, "/missing")).token("dev-bob").send().await;
    assert!(!missing.text().contains("missing"), "{}", missing.text());
    assert!(world.is_usable("a").await);
}

/// E3.
#[tokio::test]
async fn e3_the_user_in_the_path_must_exist_and_need_not_be_the_owner() {
    let world = world();
    make(&world, &ec2(BOB, DEMO, "b")).await;
    for token in ["dev-bob", "reader-bob", "dev-admin", "system-reader"] {
        let answer = world.get(&pairs(ALICE, "/b")).token(token).send().await;
        assert_eq!(answer.status, 200, "{token}");
        let body = answer.json();
        assert_eq!(body["credential"]["user_id"], BOB);
        assert_eq!(body["credential"]["secret"], "secret-of-b");
        assert_eq!(body["credential"]["links"]["self"], pairs(BOB, "/b"), "the owner's path");
    }
}

/// E4.
#[tokio::test]
async fn e4_is_for_admins_and_for_owners_who_are_members() {
    let world = world();
    for (token, expected) in [
        ("reader-bob", 403),
        ("dev-reader", 403),
        ("system-reader", 403),
        ("dev-bob", 204),
        ("dev-admin", 204),
        ("system-admin", 204),
    ] {
        if world.stored("b").await.is_none() {
            make(&world, &ec2(BOB, DEMO, "b")).await;
        }
        let answer = world.delete(&pairs(BOB, "/b")).token(token).send().await;
        assert_eq!(answer.status, expected, "{token}");
        assert_eq!(world.stored("b").await.is_none(), expected == 204, "{token}");
        if expected == 204 {
            assert!(answer.body.is_empty() && !answer.headers.contains_key("content-type"));
            assert_framed(&answer);
        }
    }
}

/// E3.
#[tokio::test]
async fn a_gateway_reads_key_pairs_if_that_is_configured_and_does_nothing_else() {
    let mut policy = RolePolicy::default();
    policy.service_sees_key_pairs = true;
    let world = world_with(|builder| builder.policy(policy));
    make(&world, &ec2(BOB, DEMO, "b")).await;
    let shown = world.get(&pairs(BOB, "/b")).token("dev-service").send().await;
    assert_eq!(shown.json()["credential"]["secret"], "secret-of-b");
    for (method, uri, expected) in [
        ("GET", pairs(BOB, "/missing"), 404),
        ("GET", pairs(BOB, ""), 403),
        ("POST", pairs(BOB, ""), 403),
        ("DELETE", pairs(BOB, "/b"), 403),
        ("GET", format!("/v3/credentials/{}", id_of("b")), 403),
        ("PATCH", format!("/v3/credentials/{}", id_of("b")), 400),
        ("GET", "/credentials/b".into(), 403),
    ] {
        assert_eq!(status(&world, method, &uri, "dev-service").await, expected, "{method} {uri}");
    }
    assert_eq!(status(&world, "GET", &pairs(BOB, "/b"), "service-elsewhere").await, 403);
    assert_eq!(status(&world, "GET", &pairs(BOB, "/b"), "dev-alice").await, 403);
}

/// K13.
#[tokio::test]
async fn k13_takes_the_body_of_v2_too() {
    let world = world();
    for root in ["OS-KSEC2-ec2Credentials", "OS-KSEC2:ec2Credentials", "ec2Credentials"] {
        for prefix in PREFIXES {
            let body = json!({root: {"tenant_id": DEMO, "username": "x", "secret": "mine"}});
            let answer = world.post(&under(prefix, BOB, "")).token("dev-bob").json(&body);
            let answer = answer.send().await;
            assert_eq!(answer.status, 201, "{root}");
            assert_eq!(answer.json()["credential"]["tenant_id"], DEMO);
            assert_ne!(answer.json()["credential"]["secret"], "mine");
        }
    }
    let without = json!({"ec2Credentials": {"username": "x"}, "tenant_id": DEMO});
    let answer = world.post(&under("/v2.0", BOB, "")).token("dev-bob").json(&without);
    assert_refused(&answer.send().await, 404);
}

#[tokio::test]
async fn keys_of_every_dialect_are_the_users_key_pairs() {
    let world = world();
    world.mint(BOB, DEMO, "minted").await;
    let uri = format!("/v2.0/users/{BOB}/OS-KSADM/credentials");
    let grant = json!({"s3Credentials": {"username": "granted", "secret": "s", "signature": "x"}});
    assert_eq!(world.post(&uri).token("dev-admin").json(&grant).send().await.status, 201);
    let password = json!({"passwordCredentials": {"username": "bob", "password": "pass"}});
    assert_eq!(world.post(&uri).token("dev-admin").json(&password).send().await.status, 201);
    let list = world.get(&pairs(BOB, "")).token("dev-bob").send().await;
    let found = accesses(&list);
    assert!(["minted", "granted"].iter().all(|key| found.contains(&(*key).into())), "{found:?}");
    assert!(!list.text().contains("bob\""), "{}", list.text());
    assert_eq!(status(&world, "GET", &pairs(BOB, "/bob"), "dev-admin").await, 404);

    let gone = world.delete(&pairs(BOB, "/granted")).token("dev-bob").send().await;
    assert_eq!(gone.status, 204);
    let slot = world.get(&format!("{uri}/s3Credentials")).token("dev-admin").send().await;
    assert_eq!(slot.status, 404);
    let stored = world.stored("minted").await.unwrap();
    assert!(matches!(stored.material, Material::KeyPair { .. }));
    assert_eq!(list.json()["credentials"][0]["trust_id"], Value::Null);
}
