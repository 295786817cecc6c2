//! The default table: the roles of IBM's dialect apply in every dialect. Also the creates that
//! it allows without a directory.

use serde_json::{Value, json};

use crate::world::{
    ALICE, BOB, CAROL, DAVE, DEMO, FRANK, OTHER, World, pair,
    v3::{
        CREDENTIALS, accesses, blob_of, change, credential_path, ec2, ec2_path, id_of, ids, opaque,
    },
};

/// The requests that create a key pair for this user in this project.
fn creates(user: &str, project: &str, access: &str) -> [(&'static str, String, Value); 4] {
    let tenant = json!({"tenant_id": project});
    [
        ("IBM", "/credentials".into(), pair(user, project, access)),
        ("v3", CREDENTIALS.into(), ec2(user, project, access)),
        ("OS-EC2", ec2_path(user, ""), tenant.clone()),
        ("v2.0 OS-EC2", format!("/v2.0/users/{user}/credentials/OS-EC2"), tenant),
    ]
}

async fn status(world: &World, token: &str, method: &str, uri: &str, body: &Value) -> u16 {
    let call = world.call(method, uri).token(token);
    let call = if body.is_null() { call } else { call.json(body) };
    call.send().await.status.as_u16()
}

/// Checks the status of a create of this key in IBM's dialect and in the others.
async fn assert_create(world: &World, token: &str, owner: (&str, &str), expected: (u16, u16)) {
    let (user, project) = owner;
    for (dialect, uri, body) in creates(user, project, "k") {
        let expected = if dialect == "IBM" { expected.0 } else { expected.1 };
        let answer = world.post(&uri).token(token).json(&body).send().await;
        let seen = (answer.status.as_u16(), dialect);
        assert_eq!(seen, (expected, dialect), "{token} for {user} in {project}: {}", answer.text());
        if answer.status == 201 {
            let id = match dialect {
                "IBM" | "v3" => "k".to_owned(),
                _ => answer.json()["credential"]["access"].as_str().unwrap().to_owned(),
            };
            let uri = format!("/credentials/{id}");
            assert_eq!(status(world, "dev-admin", "DELETE", &uri, &Value::Null).await, 204);
        } else {
            assert!(world.stored("k").await.is_none(), "{token} {dialect}");
        }
    }
}

#[tokio::test]
async fn listing_role_creates_no_key_in_any_dialect_and_for_no_project() {
    for world in [World::new(), World::without_directory()] {
        for project in [DEMO, OTHER] {
            assert_create(&world, "dev-reader", (BOB, project), (403, 403)).await;
        }
    }
}

#[tokio::test]
async fn create_is_limited_by_role_project_and_place_in_every_dialect() {
    let world = World::new();
    for (token, user, project, ibm, other) in [
        ("key-user", ALICE, DEMO, 201, 201),
        ("key-user", BOB, DEMO, 403, 403),
        ("key-user", ALICE, OTHER, 405, 403),
        ("key-admin", BOB, DEMO, 201, 201),
        ("key-admin", CAROL, OTHER, 403, 403),
        ("key-admin", CAROL, DEMO, 405, 403),
        ("key-admin", DAVE, DEMO, 405, 403),
        ("key-admin", "missing", DEMO, 404, 404),
        ("impersonator", CAROL, OTHER, 201, 201),
        ("impersonator", BOB, OTHER, 405, 403),
        ("impersonator", BOB, "missing", 404, 404),
        ("frank", FRANK, DEMO, 201, 201),
        ("frank", FRANK, OTHER, 403, 403),
        ("frank-impersonator", FRANK, OTHER, 201, 201),
        ("dev-admin", CAROL, OTHER, 201, 201),
        ("dev-admin", CAROL, DEMO, 405, 403),
        ("dev-admin", ALICE, OTHER, 405, 403),
        ("list-admin", ALICE, DEMO, 403, 403),
        ("dev-service", ALICE, DEMO, 403, 403),
        ("trust", ALICE, DEMO, 403, 403),
        ("no-role", ALICE, DEMO, 403, 403),
    ] {
        assert_create(&world, token, (user, project), (ibm, other)).await;
    }
}

#[tokio::test]
async fn create_is_limited_by_role_and_project_without_a_directory() {
    let world = World::without_directory();
    for (token, user, project, expected) in [
        ("key-user", ALICE, DEMO, 201),
        ("key-user", ALICE, OTHER, 403),
        ("key-user", ALICE, "missing", 403),
        ("key-user", BOB, DEMO, 403),
        ("key-admin", BOB, DEMO, 201),
        ("key-admin", "missing", DEMO, 201),
        ("key-admin", BOB, OTHER, 403),
        ("key-admin", ALICE, OTHER, 403),
        ("impersonator", BOB, OTHER, 201),
        ("dev-admin", "missing", "missing-too", 201),
        ("dev-reader", BOB, DEMO, 403),
        ("only-impersonate", ALICE, DEMO, 403),
    ] {
        assert_create(&world, token, (user, project), (expected, expected)).await;
    }
}

/// A world with keys of several owners and an opaque credential of Bob.
async fn filled() -> World {
    let world = World::new();
    for (user, project, access) in
        [(ALICE, DEMO, "own"), (BOB, DEMO, "bobs"), (CAROL, OTHER, "carols"), (DEMO, DEMO, "root")]
    {
        world.mint(user, project, access).await;
    }
    let totp = world.post(CREDENTIALS).token("dev-admin").json(&opaque(BOB, "totp", "seed"));
    assert_eq!(totp.send().await.status, 201);
    world
}

#[tokio::test]
async fn v3_lists_contain_the_records_that_the_listing_roles_reach() {
    let world = filled().await;
    let totp = world.get(&format!("{CREDENTIALS}?type=totp")).token("dev-admin").send().await;
    let totp = ids(&totp).pop().unwrap();
    let all = |names: &[&str]| {
        let mut ids: Vec<_> = names.iter().map(|name| id_of(name)).collect();
        ids.sort();
        ids
    };
    for (token, expected) in [
        ("dev-alice", Some(all(&["own"]))),
        (
            "dev-reader",
            Some({
                let mut ids = all(&["bobs"]);
                ids.push(totp.clone());
                ids.sort();
                ids
            }),
        ),
        ("list-admin", Some(all(&["own", "bobs", "root"]))),
        ("both-admin", Some(all(&["own", "bobs", "root"]))),
        ("impersonator", Some(all(&["own", "bobs", "root", "carols"]))),
        ("key-admin", None),
        ("dev-service", None),
        ("no-role", None),
    ] {
        let answer = world.get(CREDENTIALS).token(token).send().await;
        match expected {
            Some(expected) => {
                let mut listed = ids(&answer);
                listed.sort();
                assert_eq!(listed, expected, "{token}");
            }
            None => assert_eq!(answer.status, 403, "{token}"),
        }
    }
}

#[tokio::test]
async fn secrets_of_others_are_left_out_of_v3_and_os_ec2_without_impersonate() {
    let world = filled().await;
    for (token, sees) in [("list-admin", false), ("both-admin", false), ("impersonator", true)] {
        let shown = world.get(&credential_path(&id_of("bobs"))).token(token).send().await.json();
        let blob: Value =
            serde_json::from_str(shown["credential"]["blob"].as_str().unwrap()).unwrap();
        assert_eq!(blob["access"], "bobs", "{token}");
        assert_eq!(blob.get("secret").is_some(), sees, "{token}");

        let shown = world.get(&ec2_path(BOB, "/bobs")).token(token).send().await.json();
        assert_eq!(shown["credential"]["access"], "bobs", "{token}");
        assert_eq!(shown["credential"]["secret"].is_string(), sees, "{token}");

        for uri in
            [CREDENTIALS.to_owned(), ec2_path(BOB, ""), format!("{CREDENTIALS}?user_id={BOB}")]
        {
            let answer = world.get(&uri).token(token).send().await;
            assert!(answer.text().contains("bobs"), "{token} {uri}");
            assert_eq!(answer.text().contains("secret-of-bobs"), sees, "{token} {uri}");
        }
        let shown = world.get(&credential_path(&id_of("own"))).token(token).send().await;
        assert!(shown.text().contains("secret-of-own"), "{token}");
    }
    // The response to a change does not contain the secret either.
    let changed = change(&blob_of("bobs", "new"));
    let answer = world
        .patch(&credential_path(&id_of("bobs")))
        .token("key-admin")
        .json(&changed)
        .send()
        .await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("new"), "{}", answer.text());
}

#[tokio::test]
async fn v3_and_os_ec2_change_and_delete_only_records_that_the_management_roles_reach() {
    for (token, own, peers, foreign, root) in [
        ("dev-alice", true, false, false, false),
        ("key-user", true, false, false, false),
        ("key-admin", true, true, false, true),
        ("impersonator", true, true, true, true),
        ("dev-admin", true, true, true, true),
        ("list-admin", false, false, false, false),
        ("no-role", false, false, false, false),
    ] {
        for (access, user, reached) in [
            ("own", ALICE, own),
            ("bobs", BOB, peers),
            ("carols", CAROL, foreign),
            ("root", DEMO, root),
        ] {
            let world = filled().await;
            let (patch, uri) = (change(&blob_of(access, "new")), credential_path(&id_of(access)));
            let patched = status(&world, token, "PATCH", &uri, &patch).await;
            assert_eq!(patched, if reached { 200 } else { 403 }, "{token} {access}");
            let deleted = status(&world, token, "DELETE", &uri, &Value::Null).await;
            assert_eq!(deleted, if reached { 204 } else { 403 }, "{token} {access}");

            // OS-EC2 has no path for root keys, because no user has the id of the project.
            let world = filled().await;
            let uri = ec2_path(user, &format!("/{access}"));
            let deleted = status(&world, token, "DELETE", &uri, &Value::Null).await;
            let expected = match (reached, access) {
                (true, "root") => 404,
                (true, _) => 204,
                (false, _) => 403,
            };
            assert_eq!(deleted, expected, "{token} {access}");
            assert_eq!(world.is_usable(access).await, expected != 204, "{token} {access}");
        }
    }
}

#[tokio::test]
async fn key_admins_do_not_reach_opaque_credentials_of_other_users() {
    let world = filled().await;
    let totp = world.get(&format!("{CREDENTIALS}?type=totp")).token("dev-admin").send().await;
    let uri = credential_path(&ids(&totp)[0]);
    for token in ["both-admin", "impersonator", "user-and-list-admin"] {
        for method in ["GET", "DELETE"] {
            assert_eq!(status(&world, token, method, &uri, &Value::Null).await, 403, "{token}");
        }
        let body = change("other");
        assert_eq!(status(&world, token, "PATCH", &uri, &body).await, 403, "{token}");
        let create = opaque(BOB, "totp", "seed");
        assert_eq!(status(&world, token, "POST", CREDENTIALS, &create).await, 403, "{token}");
    }
}

#[tokio::test]
async fn os_ec2_lists_a_users_keys_to_callers_with_a_listing_role() {
    let world = filled().await;
    for (token, user, expected) in [
        ("dev-alice", ALICE, Some("own")),
        ("dev-reader", BOB, Some("bobs")),
        ("list-admin", BOB, Some("bobs")),
        ("list-admin", CAROL, Some("")),
        ("dev-alice", BOB, None),
        ("key-admin", ALICE, None),
        ("no-role", ALICE, None),
    ] {
        let answer = world.get(&ec2_path(user, "")).token(token).send().await;
        match expected {
            Some(access) => {
                let listed = accesses(&answer);
                assert_eq!(listed.join(","), access, "{token} {user}");
            }
            None => assert_eq!(answer.status, 403, "{token} {user}"),
        }
    }
}
