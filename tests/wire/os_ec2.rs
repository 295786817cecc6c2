//! Key pairs through OS-EC2, under `/v3` and `/v2.0`.

use serde_json::{Value, json};
use tower_credentials::domain::{CredentialId, Material, Quota};

use crate::world::{
    ALICE, BOB, DAVE, DEMO, OTHER, World, directory,
    registry::Registry,
    v3::{
        accesses, assert_framed, assert_refused, create, ec2, ec2_path, id_of, opaque, world,
        world_with,
    },
};

/// The prefixes, whose responses are the same.
pub(crate) const PREFIXES: [&str; 2] = ["/v3", "/v2.0"];

pub(crate) fn under(prefix: &str, user: &str, rest: &str) -> String {
    format!("{prefix}/users/{user}/credentials/OS-EC2{rest}")
}

pub(crate) async fn status(world: &World, method: &str, uri: &str, token: &str) -> u16 {
    let call = world.call(method, uri).token(token).json(&json!({"tenant_id": DEMO}));
    call.send().await.status.as_u16()
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| b"0123456789abcdef".contains(&b))
}

#[tokio::test]
async fn e2_generates_both_keys_and_returns_them() {
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
        assert!(stored.is_usable(std::time::UNIX_EPOCH) && stored.delegation.is_none());
        assert_eq!(stored.id, CredentialId::of(stored.access_key.as_ref().unwrap()));
        assert_eq!(stored.secret_key().unwrap().expose(), secret);
    }
    let list = world.get(&ec2_path(BOB, "")).token("dev-bob").send().await;
    assert_eq!(accesses(&list).len(), 2);
}

#[tokio::test]
async fn e2_missing_or_unknown_project_is_404_and_project_that_is_not_a_string_is_400() {
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
        let answer = world.post(&ec2_path(BOB, "")).token("dev-bob").json(&body).send().await;
        assert_eq!(answer.status, status, "{body}");
        assert_refused(&answer, status);
    }
    assert_refused(&world.post(&ec2_path(BOB, "")).token("dev-bob").send().await, 404);
    let broken = world.post(&ec2_path(BOB, "")).token("dev-bob").text("application/json", "{");
    assert_refused(&broken.send().await, 400);
    for (user, token, expected) in
        [("unknown", "dev-admin", 404), ("unknown", "dev-bob", 403), (DEMO, "dev-admin", 404)]
    {
        assert_eq!(status(&world, "POST", &ec2_path(user, ""), token).await, expected, "{user}");
    }
    let list = world.get(&ec2_path(BOB, "")).token("dev-bob").send().await;
    assert!(accesses(&list).is_empty());
}

#[tokio::test]
async fn e2_full_quota_and_disabled_users_and_projects_are_403() {
    let registry = std::sync::Arc::new(Registry::over(directory()));
    let world = world_with(|builder| builder.quota(Quota::AtMost(1)).directory(registry.clone()));
    assert_eq!(status(&world, "POST", &ec2_path(BOB, ""), "dev-bob").await, 201);
    assert_eq!(status(&world, "POST", &ec2_path(BOB, ""), "dev-bob").await, 403);
    registry.set_user(ALICE, Some(false));
    assert_eq!(status(&world, "POST", &ec2_path(ALICE, ""), "dev-admin").await, 403);
    registry.set_user(ALICE, Some(true));
    registry.set_project(DEMO, Some(false));
    assert_eq!(status(&world, "POST", &ec2_path(ALICE, ""), "dev-admin").await, 403);
    registry.set_project(DEMO, Some(true));
    assert_eq!(status(&world, "POST", &ec2_path(ALICE, ""), "dev-admin").await, 201);
}

#[tokio::test]
async fn e1_lists_the_key_pairs_of_the_user_in_the_path_and_nothing_else() {
    let world = world();
    for body in [ec2(BOB, DEMO, "b1"), ec2(BOB, OTHER, "b2"), ec2(ALICE, DEMO, "a")] {
        create(&world, &body).await;
    }
    create(&world, &opaque(BOB, "totp", "x")).await;
    create(&world, &opaque(BOB, "cert", r#"{"access":"c","secret":"s"}"#)).await;
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
            ("unscoped-bob", 200),
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

#[tokio::test]
async fn e1_has_pages_with_next_links_that_lead_to_the_end() {
    let world = world();
    for number in 0..5 {
        create(&world, &ec2(BOB, DEMO, &format!("b{number}"))).await;
        create(&world, &ec2(ALICE, DEMO, &format!("a{number}"))).await;
    }
    let (mut found, mut uri) = (Vec::new(), Some(ec2_path(BOB, "?limit=2&x=y")));
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
            status(&world, "GET", &ec2_path(BOB, &query), "dev-bob").await,
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn k13_accepts_the_body_of_v2_too() {
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
async fn keys_of_every_dialect_are_listed_and_deleted_through_os_ec2() {
    let world = world();
    world.mint(BOB, DEMO, "minted").await;
    let uri = format!("/v2.0/users/{BOB}/OS-KSADM/credentials");
    let grant = json!({"s3Credentials": {"username": "granted", "secret": "s", "signature": "x"}});
    assert_eq!(world.post(&uri).token("dev-admin").json(&grant).send().await.status, 201);
    let password = json!({"passwordCredentials": {"username": "bob", "password": "pass"}});
    assert_eq!(world.post(&uri).token("dev-admin").json(&password).send().await.status, 201);
    let list = world.get(&ec2_path(BOB, "")).token("dev-bob").send().await;
    let found = accesses(&list);
    assert!(["minted", "granted"].iter().all(|key| found.contains(&(*key).into())), "{found:?}");
    assert!(!list.text().contains("bob\""), "{}", list.text());
    assert_eq!(status(&world, "GET", &ec2_path(BOB, "/bob"), "dev-admin").await, 404);

    let gone = world.delete(&ec2_path(BOB, "/granted")).token("dev-bob").send().await;
    assert_eq!(gone.status, 204);
    let slot = world.get(&format!("{uri}/s3Credentials")).token("dev-admin").send().await;
    assert_eq!(slot.status, 404);
    let stored = world.stored("minted").await.unwrap();
    assert!(matches!(stored.material, Material::KeyPair { .. }));
    assert_eq!(list.json()["credentials"][0]["trust_id"], Value::Null);
}
