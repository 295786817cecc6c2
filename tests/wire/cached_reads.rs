//! A layer whose store is behind a cache: what is shown may come from memory, what is changed is
//! read from the store.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tower_credentials::{
    backend::{CredentialBackend, cached::Cached, memory::MemoryBackend},
    domain::{AccessKey, CredentialId, Status},
};

use crate::world::{
    ALICE, DEMO, World,
    failing::Flaky,
    pair, tokens,
    v3::{CREDENTIALS, ec2_path},
};

/// A world with a cache in front of this store.
fn world(store: Arc<dyn CredentialBackend>) -> World {
    let hour = Duration::from_hours(1);
    let keys = Cached::builder(store).ttl(hour).absence_ttl(hour).build();
    World::of(tokens(), Arc::new(keys), |builder| builder)
}

fn id_of(access: &str) -> CredentialId {
    CredentialId::of(&AccessKey::from_stored(access))
}

#[tokio::test]
async fn shows_of_a_known_key_do_not_call_the_store() {
    let store = Arc::new(Flaky::default());
    let world = world(Arc::<Flaky>::clone(&store));
    world.mint(ALICE, DEMO, "k").await;
    let by_id = format!("{CREDENTIALS}/{}", id_of("k"));
    let paths = ["/credentials/k".to_owned(), by_id.clone(), ec2_path(ALICE, "/k")];
    for is_down in [false, true] {
        store.set_down(is_down);
        for path in &paths {
            let answer = world.get(path).token("dev-admin").send().await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
    }
    let enable = json!({"credential": {"blob": {"status": "Active"}}});
    let enabling = world.patch("/credentials/k").token("dev-admin").json(&enable);
    assert_eq!(enabling.send().await.status, 503, "a change reads the store");
    for path in &paths {
        let answer = world.delete(path).token("dev-admin").send().await;
        assert_eq!(answer.status, 503, "{path}");
    }
    store.set_down(false);
    assert_eq!(world.delete(&by_id).token("dev-admin").send().await.status, 204);
    for path in &paths {
        let answer = world.get(path).token("dev-admin").send().await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test]
async fn change_starts_from_the_stored_record_and_not_from_the_cached_one() {
    let store = MemoryBackend::default();
    let world = world(Arc::new(store.clone()));
    let by_id = format!("{CREDENTIALS}/{}", id_of("k"));
    world.mint(ALICE, DEMO, "k").await;
    for (path, body) in [
        ("/credentials/k", json!({"credential": {"blob": {"status": "Active"}}})),
        (&by_id, json!({"credential": {"status": "Active"}})),
    ] {
        assert_eq!(world.get(path).token("dev-admin").send().await.status, 200);
        // Another process disables the key, which is still active in the cache.
        let stored = store.get(&id_of("k")).await.unwrap().unwrap();
        let mut disabled = (*stored).clone().touched(stored.updated_at);
        disabled.status = Status::Inactive;
        assert!(store.update(&disabled.into(), stored.version).await.unwrap());
        let answer = world.patch(path).token("dev-admin").json(&body).send().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let stored = store.get(&id_of("k")).await.unwrap().unwrap();
        assert_eq!(stored.status, Status::Active, "{path}");
    }
}

#[tokio::test]
async fn key_that_the_cache_does_not_know_yet_can_be_changed() {
    let store = MemoryBackend::default();
    let world = world(Arc::new(store.clone()));
    let elsewhere = World::of(tokens(), Arc::new(store), |builder| builder);
    for access in ["deleted", "rotated"] {
        let path = format!("/credentials/{access}");
        assert_eq!(world.get(&path).token("dev-admin").send().await.status, 404);
        elsewhere.mint(ALICE, DEMO, access).await;
        let change = match access {
            "deleted" => world.delete(&path),
            _ => world.post(&format!("{path}/rotate")),
        };
        let answer = change.token("dev-admin").send().await;
        let done = if access == "deleted" { 204 } else { 201 };
        assert_eq!(answer.status, done, "{access}: {}", answer.text());
    }
    let taken = world.post("/credentials").token("dev-admin").json(&pair(ALICE, DEMO, "rotated"));
    assert_eq!(taken.send().await.status, 409);
}

#[tokio::test]
async fn page_continues_where_the_store_has_the_marker_and_not_where_the_cache_has_it() {
    let store = MemoryBackend::default();
    let world = world(Arc::new(store.clone()));
    for access in ["z", "c", "d"] {
        world.mint(ALICE, DEMO, access).await;
    }
    let marker = id_of("z");
    let show = format!("{CREDENTIALS}/{marker}");
    assert_eq!(world.get(&show).token("dev-admin").send().await.status, 200);
    // Another process moves the record to the front of the list.
    let old = store.get(&marker).await.unwrap().unwrap();
    let mut new = (*old).clone().touched(old.updated_at);
    new.access_key = Some(AccessKey::from_stored("b"));
    assert!(store.update(&new.into(), old.version).await.unwrap());
    let page = format!("{CREDENTIALS}?limit=1&marker={marker}");
    let answer = world.get(&page).token("dev-admin").send().await;
    assert_eq!(answer.json()["credentials"][0]["id"], id_of("c").as_str(), "{}", answer.text());
}
