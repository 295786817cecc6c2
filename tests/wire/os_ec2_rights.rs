//! The rights that the operations of OS-EC2 require.

use serde_json::json;
use tower_credentials::policy::RolePolicy;

use crate::{
    os_ec2::{PREFIXES, status, under},
    world::{
        ALICE, BOB, CAROL, DEMO, OTHER,
        v3::{
            assert_framed, assert_refused, create, ec2, ec2_path, id_of, opaque, world, world_with,
        },
    },
};

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
            let call = world.post(&ec2_path(user, "")).token(token);
            let answer = call.json(&json!({"tenant_id": project})).send().await;
            assert_eq!(answer.status, expected, "{token} {user} {project}");
            if expected == 403 {
                assert_refused(&answer, 403);
                assert!(answer.text().contains("identity:ec2_create_credential."));
            }
        }
    }
}

#[tokio::test]
async fn e3_and_e4_distinguish_unknown_keys_from_other_users_keys() {
    let world = world();
    create(&world, &ec2(ALICE, DEMO, "a")).await;
    create(&world, &opaque(ALICE, "cert", r#"{"access":"c"}"#)).await;
    for prefix in PREFIXES {
        for method in ["GET", "DELETE"] {
            for (token, rest, expected) in [
                ("dev-bob", "/missing", 404),
                ("dev-admin", "/missing", 404),
                ("dev-bob", "/a", 403),
                ("dev-service", "/a", 403),
                ("domain-admin", "/a", 403),
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
            // Alice is the owner, who needs no scope to show her key.
            let expected = if method == "GET" { 200 } else { 403 };
            let uri = under(prefix, ALICE, "/a");
            assert_eq!(status(&world, method, &uri, "unscoped-admin").await, expected, "{method}");
            let uri = under(prefix, "unknown", "/a");
            assert_eq!(status(&world, method, &uri, "dev-admin").await, 404, "{method}");
        }
    }
    let refused = world.delete(&ec2_path(ALICE, "/a")).token("dev-bob").send().await;
    assert_refused(&refused, 403);
    assert!(refused.text().contains("identity:ec2_delete_credential."));
    let missing = world.get(&ec2_path(ALICE, "/missing")).token("dev-bob").send().await;
    assert!(!missing.text().contains("missing"), "{}", missing.text());
    assert!(world.is_usable("a").await);
}

#[tokio::test]
async fn e3_user_in_the_path_must_exist_and_need_not_be_the_owner() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "b")).await;
    for token in ["dev-bob", "reader-bob", "dev-admin", "system-reader"] {
        let answer = world.get(&ec2_path(ALICE, "/b")).token(token).send().await;
        assert_eq!(answer.status, 200, "{token}");
        let body = answer.json();
        assert_eq!(body["credential"]["user_id"], BOB);
        assert_eq!(body["credential"]["secret"], "secret-of-b");
        assert_eq!(body["credential"]["links"]["self"], ec2_path(BOB, "/b"), "the owner's path");
    }
}

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
            create(&world, &ec2(BOB, DEMO, "b")).await;
        }
        let answer = world.delete(&ec2_path(BOB, "/b")).token(token).send().await;
        assert_eq!(answer.status, expected, "{token}");
        assert_eq!(world.stored("b").await.is_none(), expected == 204, "{token}");
        if expected == 204 {
            assert!(answer.body.is_empty() && !answer.headers.contains_key("content-type"));
            assert_framed(&answer);
        }
    }
}

#[tokio::test]
async fn configured_gateway_reads_key_pairs_and_does_nothing_else() {
    let mut policy = RolePolicy::keystone();
    policy.service_sees_key_pairs = true;
    let world = world_with(|builder| builder.policy(policy));
    create(&world, &ec2(BOB, DEMO, "b")).await;
    let shown = world.get(&ec2_path(BOB, "/b")).token("dev-service").send().await;
    assert_eq!(shown.json()["credential"]["secret"], "secret-of-b");
    for (method, uri, expected) in [
        ("GET", ec2_path(BOB, "/missing"), 404),
        ("GET", ec2_path(BOB, ""), 403),
        ("POST", ec2_path(BOB, ""), 403),
        ("DELETE", ec2_path(BOB, "/b"), 403),
        ("GET", format!("/v3/credentials/{}", id_of("b")), 403),
        ("PATCH", format!("/v3/credentials/{}", id_of("b")), 400),
        ("GET", "/credentials/b".into(), 403),
    ] {
        assert_eq!(status(&world, method, &uri, "dev-service").await, expected, "{method} {uri}");
    }
    assert_eq!(status(&world, "GET", &ec2_path(BOB, "/b"), "service-elsewhere").await, 403);
    assert_eq!(status(&world, "GET", &ec2_path(BOB, "/b"), "dev-alice").await, 403);
}
