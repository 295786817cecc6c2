//! The rights that the operations of IBM's dialect require, role by role.

use serde_json::json;

use crate::world::{ALICE, BOB, CAROL, DEMO, FRANK, OTHER, World, pair};

/// A world with keys of the caller, of a user in the same project and of a user in another
/// project, and with the root keys of both projects.
async fn world() -> World {
    let world = World::new();
    for (user, project, access) in [
        (ALICE, DEMO, "own"),
        (BOB, DEMO, "bobs"),
        (CAROL, OTHER, "carols"),
        (DEMO, DEMO, "root"),
        (OTHER, OTHER, "others-root"),
    ] {
        world.mint(user, project, access).await;
    }
    world
}

const KEYS: [&str; 5] = ["own", "bobs", "carols", "root", "others-root"];

/// Checks the statuses that each caller gets for [`KEYS`].
async fn check(method: &str, table: &[(&str, [u16; 5])]) {
    for (token, expected) in table {
        let world = world().await;
        for (access, status) in KEYS.iter().zip(expected) {
            let uri = format!("/credentials/{access}");
            let body = json!({"credential": {"blob": {"status": "Inactive"}}});
            let call = world.call(method, &uri).token(token);
            let call = if method == "PATCH" { call.json(&body) } else { call };
            let answer = call.send().await;
            assert_eq!(answer.status, *status, "{method} {access} as {token}");
            let untouched = world.is_usable(access).await;
            assert_eq!(untouched, method == "GET" || *status >= 400, "{access} as {token}");
        }
    }
}

#[tokio::test]
async fn i1_create_requires_key_management_and_impersonate_for_other_projects() {
    let places =
        [(ALICE, DEMO), (BOB, DEMO), (CAROL, OTHER), (ALICE, OTHER), (DEMO, DEMO), (OTHER, OTHER)];
    for (token, expected) in [
        ("dev-admin", [201, 201, 201, 405, 201, 201]),
        ("dev-alice", [201, 403, 403, 405, 403, 403]),
        ("key-user", [201, 403, 403, 405, 403, 403]),
        ("key-admin", [201, 201, 403, 405, 201, 403]),
        ("impersonator", [201, 201, 201, 405, 201, 201]),
        ("list-admin", [403; 6]),
        ("dev-reader", [403; 6]),
        ("dev-service", [403; 6]),
        ("only-impersonate", [403; 6]),
        ("no-role", [403; 6]),
        ("trust", [403; 6]),
    ] {
        let world = World::new();
        for (number, ((user, project), status)) in places.into_iter().zip(expected).enumerate() {
            let body = pair(user, project, &format!("k{number}"));
            let answer = world.post("/credentials").token(token).json(&body).send().await;
            assert_eq!(answer.status, status, "{token} for {user} in {project}");
        }
    }
}

#[tokio::test]
async fn i1_i2_405_comes_before_403_only_for_the_callers_own_user_in_an_existing_project() {
    let world = World::new();
    let create = async |token: &str, user: &str, project: &str| {
        let answer = world.post("/credentials").token(token).json(&pair(user, project, "k"));
        answer.send().await
    };
    let list = async |token: &str, user: &str, project: &str| {
        let uri = format!("/credentials?user_id={user}&project_id={project}");
        world.get(&uri).token(token).send().await
    };
    for (token, user, project, status) in [
        // The caller has no role for the operation.
        ("no-role", ALICE, OTHER, 403),
        // The caller has no place in the project.
        ("both-admin", ALICE, OTHER, 405),
        ("dev-alice", ALICE, OTHER, 405),
        ("impersonator", ALICE, OTHER, 405),
        ("dev-admin", ALICE, OTHER, 405),
        // The project does not exist.
        ("dev-alice", ALICE, "missing", 403),
        ("impersonator", ALICE, "missing", 404),
        // For another user, the roles are checked first.
        ("dev-alice", CAROL, DEMO, 403),
        ("both-admin", CAROL, OTHER, 403),
        ("both-admin", CAROL, DEMO, 405),
        ("impersonator", CAROL, DEMO, 405),
        ("both-admin", "missing", DEMO, 404),
    ] {
        for answer in [create(token, user, project).await, list(token, user, project).await] {
            assert_eq!(answer.status, status, "{token} {user} {project}: {}", answer.text());
            assert_eq!(answer.headers.contains_key("allow"), status == 405, "{token}");
        }
    }
    assert!(world.stored("k").await.is_none());
}

#[tokio::test]
async fn i1_create_in_another_own_project_requires_impersonate() {
    let world = World::new();
    let body = pair(FRANK, OTHER, "k");
    for (token, status) in [("frank", 403), ("frank-impersonator", 201)] {
        let answer = world.post("/credentials").token(token).json(&body).send().await;
        assert_eq!(answer.status, status, "{token}");
    }
}

#[tokio::test]
async fn i1_create_always_returns_the_secret() {
    let world = World::new();
    let body = pair(BOB, DEMO, "k");
    let answer = world.post("/credentials").token("key-admin").json(&body).send().await;
    assert_eq!(answer.json()["credential"]["blob"]["secret"], "secret-of-k");
}

#[tokio::test]
async fn i2_list_requires_key_listing_and_impersonate_for_other_projects() {
    let world = world().await;
    let queries = [
        String::new(),
        format!("?user_id={ALICE}&project_id={DEMO}"),
        format!("?user_id={BOB}"),
        format!("?user_id={CAROL}"),
        format!("?user_id={CAROL}&project_id={OTHER}"),
        format!("?project_id={DEMO}"),
        format!("?project_id={OTHER}"),
    ];
    let no = Err(403);
    let (own, bobs, carols): (Result<&[&str], u16>, _, _) =
        (Ok(&["own"]), Ok(&["bobs"][..]), Ok(&["carols"][..]));
    let (root, others) = (Ok(&["root"][..]), Ok(&["others-root"][..]));
    for (token, expected) in [
        ("dev-admin", [own, own, bobs, carols, carols, root, others]),
        ("impersonator", [own, own, bobs, carols, carols, root, others]),
        // The list of another user is limited to the caller's project, in which Carol has no key.
        ("list-admin", [own, own, bobs, Ok(&[]), no, root, no]),
        ("dev-alice", [own, own, no, no, no, no, no]),
        ("key-admin", [no; 7]),
        ("key-user", [no; 7]),
        ("dev-service", [no; 7]),
        ("only-impersonate", [no; 7]),
        ("no-role", [no; 7]),
        ("trust", [no; 7]),
    ] {
        for (query, expected) in queries.iter().zip(expected) {
            let answer = world.get(&format!("/credentials{query}")).token(token).send().await;
            match expected {
                Ok(ids) => assert_eq!(answer.ids(), ids, "{query} as {token}"),
                Err(status) => assert_eq!(answer.status, status, "{query} as {token}"),
            }
        }
    }
}

#[tokio::test]
async fn i3_show_requires_key_listing() {
    check(
        "GET",
        &[
            ("dev-admin", [200; 5]),
            ("impersonator", [200; 5]),
            ("list-admin", [200, 200, 404, 200, 404]),
            ("dev-alice", [200, 404, 404, 404, 404]),
            ("dev-reader", [404, 200, 404, 404, 404]),
            ("key-admin", [403; 5]),
            ("key-user", [403; 5]),
            ("dev-service", [403; 5]),
            ("only-impersonate", [403; 5]),
            ("no-role", [403; 5]),
            ("trust", [403; 5]),
        ],
    )
    .await;
}

const MANAGERS: [(&str, [u16; 5]); 11] = [
    ("dev-admin", [2, 2, 2, 2, 2]),
    ("impersonator", [2, 2, 2, 2, 2]),
    ("key-admin", [2, 2, 404, 2, 404]),
    ("both-admin", [2, 2, 404, 2, 404]),
    ("dev-alice", [2, 404, 404, 404, 404]),
    // The caller may see the second and the fourth key, but may not change them.
    ("user-and-list-admin", [2, 403, 404, 403, 404]),
    ("list-admin", [403; 5]),
    ("dev-reader", [403; 5]),
    ("dev-service", [403; 5]),
    ("only-impersonate", [403; 5]),
    ("trust", [403; 5]),
];

/// The table for key management, with this status for success.
fn managers(success: u16) -> Vec<(&'static str, [u16; 5])> {
    let fill = |status| if status == 2 { success } else { status };
    MANAGERS.iter().map(|(token, row)| (*token, row.map(fill))).collect()
}

#[tokio::test]
async fn i4_update_requires_key_management() {
    check("PATCH", &managers(200)).await;
}

#[tokio::test]
async fn i5_delete_requires_key_management() {
    check("DELETE", &managers(204)).await;
}

#[tokio::test]
async fn secrets_are_shown_to_their_owner_and_to_impersonators() {
    let world = world().await;
    for (token, access, shown) in [
        ("dev-alice", "own", true),
        ("list-admin", "own", true),
        ("list-admin", "bobs", false),
        ("list-admin", "root", false),
        ("both-admin", "bobs", false),
        ("impersonator", "bobs", true),
        ("impersonator", "others-root", true),
        ("dev-admin", "carols", true),
        ("dev-reader", "bobs", true),
    ] {
        let answer = world.get(&format!("/credentials/{access}")).token(token).send().await;
        let blob = &answer.json()["credential"]["blob"];
        assert_eq!(blob.get("secret").is_some(), shown, "{access} as {token}");
        assert_eq!(answer.text().contains("secret-of-"), shown, "{access} as {token}");
    }
    let listed = world.get(&format!("/credentials?user_id={BOB}")).token("list-admin").send().await;
    assert!(!listed.text().contains("secret"), "{}", listed.text());
    let body = json!({"credential": {"blob": {"status": "Inactive"}}});
    let patched = world.patch("/credentials/bobs").token("key-admin").json(&body).send().await;
    assert_eq!(
        patched.json()["credential"]["blob"],
        json!({
            "access": "bobs", "status": "Inactive",
        })
    );
}

#[tokio::test]
async fn basic_bearer_and_x_auth_token_authenticate_and_the_token_header_takes_precedence() {
    let world = world().await;
    let get = |headers: &[(&str, &str)]| {
        let call = world.get("/credentials/own");
        headers.iter().fold(call, |call, (name, value)| call.header(name, value))
    };
    // `{ALICE}:dev-alice` and `bob:dev-alice`.
    let alice = "Basic YmI1NDc2ZmQxMjg4NDUzOWI0MWQ1YTg4ZjgzOGQ3NzM6ZGV2LWFsaWNl";
    let bob = "Basic Ym9iOmRldi1hbGljZQ==";
    for (headers, status) in [
        (&[("x-auth-token", "dev-alice")][..], 200),
        (&[("authorization", "Bearer dev-alice")], 200),
        (&[("authorization", "bearer   dev-alice")], 200),
        (&[("authorization", alice)], 200),
        (&[("authorization", bob)], 401),
        (&[("x-auth-token", "dev-bob"), ("authorization", alice)], 404),
        (&[("x-auth-token", "wrong"), ("authorization", alice)], 401),
        (&[("x-auth-token", ""), ("authorization", alice)], 401),
        (&[("authorization", "Basic ???")], 401),
        (&[("authorization", "Negotiate dev-alice")], 401),
        (&[("authorization", "dev-alice")], 401),
    ] {
        assert_eq!(get(headers).send().await.status, status, "{headers:?}");
    }
}
