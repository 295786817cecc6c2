//! The layer with another policy, directory and clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use test_support::permissive::Permissive;
use tower_credentials::{
    clock::Clock,
    directory::{OpenDirectory, Project, User},
    domain::{Delegation, ProjectId, UserId},
};

use crate::world::{ALICE, BOB, CAROL, DEMO, OTHER, World, directory, pair};

#[tokio::test]
async fn credentials_of_a_delegated_caller_carry_the_delegation() {
    let world = World::with(|builder| builder.policy(Permissive));
    let key = world.post("/credentials").token("trust").json(&pair(ALICE, DEMO, "key"));
    assert_eq!(key.send().await.status, 201);
    let grant = json!({"ec2Credentials": {"username": "grant", "secret": "s", "signature": ""}});
    let path = format!("/v2.0/users/{ALICE}/OS-KSADM/credentials");
    assert_eq!(world.post(&path).token("trust").json(&grant).send().await.status, 201);
    for access in ["key", "grant"] {
        let delegation = world.stored(access).await.unwrap().delegation.clone();
        assert_eq!(delegation, Some(Delegation::Trust { id: "t".into() }), "{access}");
    }
    let own = world.post("/credentials").token("dev-alice").json(&pair(ALICE, DEMO, "own"));
    assert_eq!(own.send().await.status, 201);
    assert_eq!(world.stored("own").await.unwrap().delegation, None);
}

#[tokio::test]
async fn disabled_user_or_project_gets_no_new_keys_and_its_keys_can_be_deleted() {
    let world = World::new();
    world.mint(BOB, DEMO, "b").await;
    world.mint(CAROL, OTHER, "c").await;

    let mut bob = User::new(UserId::new(BOB).unwrap(), "bob");
    bob.enabled = false;
    let mut other = Project::new(ProjectId::new(OTHER).unwrap(), "other");
    other.enabled = false;
    let closed = directory().with_user(bob).with_project(other);
    let backend = world.backend.clone();
    let world = World::of(crate::world::tokens(), backend, |builder| builder.directory(closed));

    for body in [pair(BOB, DEMO, "new"), pair(CAROL, OTHER, "new"), pair(OTHER, OTHER, "new")] {
        let refused = world.post("/credentials").token("dev-admin").json(&body).send().await;
        assert_eq!(refused.status, 403, "{body}");
    }
    let grant = json!({"ec2Credentials": {"username": "new", "secret": "s", "signature": ""}});
    let path = format!("/v2.0/users/{BOB}/OS-KSADM/credentials");
    assert_eq!(world.post(&path).token("dev-admin").json(&grant).send().await.status, 403);

    for access in ["b", "c"] {
        let path = format!("/credentials/{access}");
        assert_eq!(world.get(&path).token("dev-admin").send().await.status, 200, "{access}");
        assert_eq!(world.delete(&path).token("dev-admin").send().await.status, 204, "{access}");
    }
}

#[tokio::test]
async fn open_directory_is_the_same_as_no_directory() {
    use tower_credentials::{CredentialLayer, backend::memory::MemoryBackend};

    let without = CredentialLayer::builder(crate::world::tokens(), MemoryBackend::default());
    let without = without.build().unwrap();
    let open = CredentialLayer::builder(crate::world::tokens(), MemoryBackend::default());
    let open = open.directory(OpenDirectory).build().unwrap();
    let mut world = World::new();
    for layer in [without, open] {
        world.layer = layer;
        let body = pair("no-such-user", "no-such-project", "key");
        let created = world.post("/credentials").token("dev-admin").json(&body).send().await;
        assert_eq!(created.status, 201);
        let query = "/credentials?user_id=no-such-user&project_id=no-such-project";
        assert_eq!(world.get(query).token("dev-admin").send().await.ids(), ["key"]);
        let grants = "/v2.0/users/no-such-user-either/OS-KSADM/credentials";
        assert_eq!(world.get(grants).token("dev-admin").send().await.status, 200);
        let grant = json!({"s3Credentials": {"username": "g", "secret": "s", "signature": ""}});
        assert_eq!(world.post(grants).token("dev-admin").json(&grant).send().await.status, 201);
    }
}

#[tokio::test]
async fn caller_who_may_not_see_a_secret_may_not_guess_it_in_an_update() {
    let world = World::new();
    world.mint(BOB, DEMO, "b").await;
    let update = async |token: &str, secret: &str| {
        let blob = json!({"secret": secret, "status": "Inactive"});
        let body = json!({"credential": {"blob": blob}});
        world.patch("/credentials/b").token(token).json(&body).send().await.status.as_u16()
    };
    assert_eq!(update("key-admin", "wrong").await, 400);
    assert_eq!(update("key-admin", "secret-of-b").await, 400);
    assert_eq!(update("dev-bob", "wrong").await, 400);
    assert_eq!(update("dev-bob", "secret-of-b").await, 200);
}

/// A clock that always shows the same time.
#[derive(Debug)]
struct Stopped(SystemTime);

impl Clock for Stopped {
    fn now(&self) -> SystemTime {
        self.0
    }
}

#[tokio::test]
async fn clock_far_in_the_past_or_future_breaks_no_response() {
    let day = Duration::from_hours(24);
    for now in [UNIX_EPOCH - day, UNIX_EPOCH, UNIX_EPOCH + day * 366 * 9_000] {
        let world = World::with(|builder| builder.clock(Stopped(now)));
        let created = world.post("/credentials").token("dev-alice").json(&pair(ALICE, DEMO, "k"));
        let created = created.send().await;
        assert_eq!(created.status, 201);
        assert_eq!(created.header("x-trans-id").len(), 34);
        let grants = format!("/v2.0/users/{ALICE}/OS-KSADM/credentials");
        assert_eq!(world.get(&grants).token("dev-admin").send().await.status, 200);
    }
}
