//! Root keys belong to a project and to no user, in every dialect.

use std::sync::Arc;

use serde_json::json;
use tower_credentials::{
    auth::StaticTokens,
    backend::memory::MemoryBackend,
    domain::{Caller, Credential, ProjectId, Quota, Scope, UserId},
};

use crate::world::{
    ALICE, DEMO, World, pair, tokens,
    v3::{CREDENTIALS, accesses, credential_path, ec2, ec2_path, id_of, ids},
};

/// The usual tokens, and tokens of a user with the id of the project.
fn with_twin() -> StaticTokens {
    let scope = || Scope::Project(ProjectId::new(DEMO).unwrap());
    let user_roles = ["member", "key_management_user", "key_listing_user"];
    let twin = || Caller::new(UserId::new(DEMO).unwrap(), scope());
    tokens().with_token("twin", "twin", twin().with_roles(user_roles))
}

/// A world without a directory, in which a user with the project's id may exist.
async fn twin_world() -> World {
    let backend = Arc::new(MemoryBackend::default());
    let world = World::of(with_twin(), backend, |builder| {
        builder.directory(tower_credentials::directory::OpenDirectory)
    });
    world.mint(DEMO, DEMO, "root").await;
    world
}

#[tokio::test]
async fn only_the_ibm_dialect_creates_and_marks_root_keys() {
    let world = twin_world().await;
    assert!(world.stored("root").await.unwrap().is_root_key());
    assert_eq!(world.stored("root").await.unwrap().root_key, Some(true));
    let own = world.post(CREDENTIALS).token("twin").json(&ec2(DEMO, DEMO, "twins"));
    assert_eq!(own.send().await.status, 201);
    assert!(!world.stored("twins").await.unwrap().is_root_key());
    let made = world.post(&ec2_path(DEMO, "")).token("twin").json(&json!({"tenant_id": DEMO}));
    let made = made.send().await.json();
    let access = made["credential"]["access"].as_str().unwrap();
    assert!(!world.stored(access).await.unwrap().is_root_key());
    // In IBM's dialect, a user id that is the project's id means a root key.
    let refused = world.post("/credentials").token("twin").json(&pair(DEMO, DEMO, "k"));
    assert_eq!(refused.send().await.status, 403);
    world.mint(ALICE, DEMO, "plain").await;
    assert_eq!(world.stored("plain").await.unwrap().root_key, Some(false));
}

#[tokio::test]
async fn user_with_the_id_of_a_project_does_not_reach_its_root_keys() {
    let world = twin_world().await;
    let own = world.post(CREDENTIALS).token("twin").json(&ec2(DEMO, DEMO, "twins"));
    assert_eq!(own.send().await.status, 201);
    let listed = world.get(CREDENTIALS).token("twin").send().await;
    assert_eq!(ids(&listed), [id_of("twins")]);
    assert_eq!(accesses(&world.get(&ec2_path(DEMO, "")).token("twin").send().await), ["twins"]);
    assert_eq!(world.get("/credentials").token("twin").send().await.ids(), ["twins"]);
    for (method, uri, status) in [
        ("GET", credential_path(&id_of("root")), 403),
        ("DELETE", credential_path(&id_of("root")), 403),
        ("GET", ec2_path(DEMO, "/root"), 403),
        ("DELETE", ec2_path(DEMO, "/root"), 403),
        ("GET", "/credentials/root".into(), 404),
        ("DELETE", "/credentials/root".into(), 404),
        ("GET", format!("/credentials?project_id={DEMO}"), 403),
    ] {
        let answer = world.call(method, &uri).token("twin").send().await;
        assert_eq!(answer.status, status, "{method} {uri}: {}", answer.text());
        assert!(!answer.text().contains("secret-of-root"));
    }
    assert!(world.is_usable("root").await);
}

#[tokio::test]
async fn root_keys_are_visible_to_admins_and_the_projects_key_admins_in_v3() {
    let world = World::new();
    world.mint(DEMO, DEMO, "root").await;
    for (token, shown) in [
        ("dev-admin", 200),
        ("list-admin", 200),
        ("both-admin", 200),
        ("dev-alice", 403),
        ("dev-carol", 403),
        ("key-user", 403),
    ] {
        let answer = world.get(&credential_path(&id_of("root"))).token(token).send().await;
        assert_eq!(answer.status, shown, "{token}");
        let secret = answer.text().contains("secret-of-root");
        assert_eq!(secret, token == "dev-admin", "{token}");
    }
}

#[tokio::test]
async fn project_list_of_the_ibm_dialect_has_root_keys_only() {
    let world = twin_world().await;
    let own = world.post(CREDENTIALS).token("twin").json(&ec2(DEMO, DEMO, "twins"));
    assert_eq!(own.send().await.status, 201);
    for token in ["dev-admin", "list-admin"] {
        let uri = format!("/credentials?project_id={DEMO}");
        assert_eq!(world.get(&uri).token(token).send().await.ids(), ["root"], "{token}");
    }
}

#[tokio::test]
async fn changed_root_key_of_an_earlier_release_remains_a_root_key() {
    let world = World::new();
    world.mint(DEMO, DEMO, "root").await;
    let mut old = Credential::clone(&*world.stored("root").await.unwrap());
    old.root_key = None;
    world.backend.delete(&old.id, old.version).await.unwrap();
    world.backend.insert(&Arc::new(old), Quota::Unlimited).await.unwrap();
    let body = json!({"credential": {"blob": {"status": "Inactive"}}});
    let answer = world.patch("/credentials/root").token("key-admin").json(&body).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(world.stored("root").await.unwrap().root_key, Some(true));
}
