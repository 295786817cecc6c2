//! The rights that the operations of v3 require.

use crate::world::{
    ALICE, BOB, CAROL, DEMO, OTHER, World,
    v3::{
        CREDENTIALS, assert_framed, assert_refused, blob_of, change, create, credential_path, ec2,
        id_of, ids, world,
    },
};

async fn status(world: &World, method: &str, uri: &str, token: &str) -> u16 {
    let call = world.call(method, uri).token(token).json(&change("x"));
    call.send().await.status.as_u16()
}

#[tokio::test]
async fn c2_is_for_admins_and_owners_and_requires_no_place_in_the_project() {
    let world = world();
    for (token, user, status) in [
        ("dev-bob", BOB, 201),
        ("dev-bob", ALICE, 403),
        ("dev-admin", CAROL, 201),
        ("system-admin", CAROL, 201),
        ("domain-admin", CAROL, 201),
        ("unscoped-admin", CAROL, 201),
        ("domain-alice", ALICE, 201),
        ("unscoped-bob", BOB, 201),
        ("reader-bob", BOB, 201),
        ("system-reader", BOB, 403),
        ("project-reader", BOB, 403),
        ("dev-service", BOB, 403),
    ] {
        for project in [DEMO, OTHER] {
            let body = ec2(user, project, &format!("{token}-{project}"));
            let answer = world.post(CREDENTIALS).token(token).json(&body).send().await;
            assert_eq!(answer.status, status, "{token} {user} {project}");
        }
    }
    let refused = world.post(CREDENTIALS).token("dev-bob").json(&ec2(ALICE, DEMO, "x"));
    let refused = refused.send().await;
    assert_refused(&refused, 403);
    assert_eq!(
        refused.json()["error"]["message"],
        "You are not authorized to perform the requested action: identity:create_credential."
    );
}

#[tokio::test]
async fn c3_shows_to_owners_admins_and_system_readers_with_the_secret() {
    let world = world();
    let made = create(&world, &ec2(BOB, DEMO, "k")).await;
    let uri = credential_path(&id_of("k"));
    for (token, status) in [
        ("dev-bob", 200),
        ("unscoped-bob", 200),
        ("reader-bob", 200),
        ("dev-admin", 200),
        ("system-admin", 200),
        ("domain-admin", 200),
        ("system-reader", 200),
        ("domain-reader", 403),
        ("project-reader", 403),
        ("dev-alice", 403),
        ("dev-service", 403),
        ("list-admin", 403),
        ("impersonator", 403),
    ] {
        let answer = world.get(&uri).token(token).send().await;
        assert_eq!(answer.status, status, "{token}");
        if status == 200 {
            assert_eq!(answer.json()["credential"], made, "{token}");
            assert_eq!(made["blob"], blob_of("k", "secret-of-k"));
        } else {
            assert_refused(&answer, 403);
            assert!(answer.text().contains("identity:get_credential."), "{}", answer.text());
        }
    }
}

/// Tests GET, PATCH and DELETE of `/v3/credentials/{id}`.
#[tokio::test]
async fn only_callers_who_reach_every_record_learn_that_an_id_does_not_exist() {
    let world = world();
    create(&world, &ec2(ALICE, DEMO, "k")).await;
    for (token, methods) in [
        ("dev-bob", [("GET", 403), ("PATCH", 403), ("DELETE", 403)]),
        ("dev-service", [("GET", 403), ("PATCH", 403), ("DELETE", 403)]),
        ("system-reader", [("GET", 404), ("PATCH", 403), ("DELETE", 403)]),
        ("dev-admin", [("GET", 404), ("PATCH", 404), ("DELETE", 404)]),
        ("domain-admin", [("GET", 404), ("PATCH", 404), ("DELETE", 404)]),
    ] {
        for (method, expected) in methods {
            // The access key is not an id, and case matters in ids.
            for id in ["missing", "k", &id_of("k").to_uppercase(), &"x".repeat(5_000), "%C3%A4"] {
                let found = status(&world, method, &credential_path(id), token).await;
                assert_eq!(found, expected, "{token} {method} {id}");
            }
            if expected == 403 && method != "GET" {
                let other_users =
                    status(&world, method, &credential_path(&id_of("k")), token).await;
                assert_eq!(other_users, 403, "{token} {method}");
            }
        }
    }
    let [missing, other_users] = ["missing".to_owned(), id_of("k")]
        .map(|id| world.get(&credential_path(&id)).token("dev-bob").send());
    assert_eq!(missing.await.body, other_users.await.body);
}

#[tokio::test]
async fn c5_deletes_for_owners_and_admins_without_body_and_content_type() {
    let world = world();
    for (access, token) in [("a", "dev-bob"), ("b", "dev-admin"), ("c", "unscoped-bob")] {
        create(&world, &ec2(BOB, DEMO, access)).await;
        for other in ["dev-alice", "system-reader", "domain-reader"] {
            assert_eq!(
                status(&world, "DELETE", &credential_path(&id_of(access)), other).await,
                403,
                "{other}"
            );
        }
        let answer = world.delete(&credential_path(&id_of(access))).token(token).send().await;
        assert_eq!(answer.status, 204, "{token}");
        assert!(answer.body.is_empty() && !answer.headers.contains_key("content-type"));
        assert_framed(&answer);
        assert!(world.stored(access).await.is_none());
        assert_eq!(
            status(&world, "DELETE", &credential_path(&id_of(access)), "dev-admin").await,
            404
        );
    }
    let list = world.get(CREDENTIALS).token("dev-bob").send().await;
    assert!(ids(&list).is_empty());
    create(&world, &ec2(ALICE, DEMO, "a")).await;
}
