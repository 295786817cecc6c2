//! Outages of the store, the validator and the directory, and concurrent clients.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;
use tokio::{sync::Barrier, task::JoinSet};
use tower_credentials::{
    ErrorKind,
    backend::{CredentialBackend, memory::MemoryBackend, sqlite::SqliteBackend},
    domain::Quota,
};

use crate::{
    keystone_v2_json::{bobs, ec2},
    world::{
        ALICE, BOB, DEMO, World,
        failing::{CAUSE, DownDirectory, Flaky, Refusing},
        pair, tokens,
    },
};

#[tokio::test]
async fn store_outage_is_503_and_requests_succeed_after_it() {
    let store = Arc::new(Flaky::default());
    let backend: Arc<dyn CredentialBackend> = Arc::<Flaky>::clone(&store);
    let world = World::of(tokens(), backend, |builder| builder);
    world.mint(ALICE, DEMO, "k").await;

    store.set_down(true);
    for (method, uri) in [
        ("POST", "/credentials"),
        ("GET", "/credentials"),
        ("GET", "/credentials/k"),
        ("PATCH", "/credentials/k"),
        ("DELETE", "/credentials/k"),
    ] {
        let call = world.call(method, uri).token("dev-alice").json(&pair(ALICE, DEMO, "k"));
        let answer = call.send().await;
        assert_eq!(answer.status, 503, "{method} {uri}");
        assert_eq!(answer.header("retry-after"), "5");
        let body = answer.json();
        assert_eq!(body["error"]["title"], "Service Unavailable");
        assert!(!answer.text().contains("db-7"), "{}", answer.text());
        let error = answer.error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(causes(&*error).contains(CAUSE), "an outer layer can read the cause");
    }

    store.set_down(false);
    let answer = world.get("/credentials").token("dev-alice").send().await;
    assert_eq!(answer.ids(), ["k"]);
}

fn causes(error: &dyn std::error::Error) -> String {
    let rest = error.source().map(causes).unwrap_or_default();
    format!("{error}: {rest}")
}

#[tokio::test]
async fn validator_or_directory_outage_is_503_and_never_401_or_404() {
    let memory = || Arc::new(MemoryBackend::default());
    let body = pair(ALICE, DEMO, "k");
    for world in [
        World::of(Refusing::Down, memory(), |builder| builder),
        World::with(|builder| builder.directory(DownDirectory)),
    ] {
        for uri in ["/credentials", &bobs("")] {
            let body = if uri == "/credentials" { body.clone() } else { ec2() };
            let answer = world.post(uri).token("dev-admin").json(&body).send().await;
            assert_eq!(answer.status, 503, "{uri}");
            assert_eq!(answer.header("retry-after"), "5");
            assert!(!answer.text().contains("db-7"), "{}", answer.text());
        }
        assert!(world.stored("k").await.is_none());
    }
}

#[tokio::test]
async fn disabled_user_is_403() {
    let world = World::of(Refusing::Disabled, Arc::new(MemoryBackend::default()), |b| b);
    let answer = world.get("/credentials").token("dev-alice").send().await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (403, &403.into()));
}

/// A memory store and an SQLite store, and the folder of the latter.
fn backends() -> (tempfile::TempDir, [Arc<dyn CredentialBackend>; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteBackend::open(folder.path().join("credentials.db")).unwrap();
    (folder, [Arc::new(MemoryBackend::default()), Arc::new(sqlite)])
}

/// Sends all these creates concurrently, and counts the statuses.
async fn race<I>(world: &World, bodies: I) -> BTreeMap<u16, usize>
where
    I: ExactSizeIterator<Item = serde_json::Value>,
{
    let start = Arc::new(Barrier::new(bodies.len()));
    let mut racers = JoinSet::new();
    for body in bodies {
        let call = world.post("/credentials").token("dev-admin").json(&body);
        let start = Arc::clone(&start);
        racers.spawn(async move {
            start.wait().await;
            call.send().await.status.as_u16()
        });
    }
    let mut counts = BTreeMap::new();
    for status in racers.join_all().await {
        *counts.entry(status).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_of_concurrent_creates_of_one_access_key_succeeds() {
    let (_folder, backends) = backends();
    for backend in backends {
        let world = World::of(tokens(), backend, |builder| builder);
        for round in 0..20 {
            let access = format!("round-{round}");
            let bodies = [ALICE, BOB].map(|user| pair(user, DEMO, &access));
            let counts = race(&world, bodies.into_iter()).await;
            assert_eq!(counts, BTreeMap::from([(201, 1), (409, 1)]), "{:?}", world.backend);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_of_a_hundred_concurrent_creates_gets_the_last_place_in_the_quota() {
    let (_folder, backends) = backends();
    for backend in backends {
        let world = World::of(tokens(), backend, |builder| builder.quota(Quota::AtMost(3)));
        for access in ["one", "two"] {
            world.mint(BOB, DEMO, access).await;
        }
        let bodies = (0..100).map(|number| pair(BOB, DEMO, &format!("racer-{number}")));
        let counts = race(&world, bodies).await;
        assert_eq!(counts, BTreeMap::from([(201, 1), (409, 99)]), "{:?}", world.backend);
        let uri = format!("/credentials?user_id={BOB}");
        assert_eq!(world.get(&uri).token("dev-admin").send().await.ids().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_grants_of_one_slot_or_name_leave_one_record_in_each_slot() {
    let (_folder, backends) = backends();
    for backend in backends {
        let world = World::of(tokens(), backend, |builder| builder);
        let mut racers = JoinSet::new();
        for number in 0..20 {
            let root = if number % 2 == 0 { "ec2Credentials" } else { "s3Credentials" };
            let body = json!({root: {"username": "same", "secret": "s", "signature": ""}});
            let call = world.post(&bobs("")).token("dev-admin").json(&body);
            racers.spawn(async move { call.send().await.status.as_u16() });
        }
        let mut statuses = racers.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses[..2], [201, 201], "one of each type: {statuses:?}");
        assert!(statuses[2..].iter().all(|status| *status == 409), "{statuses:?}");
        let page = world.get(&bobs("")).token("dev-admin").send().await.json();
        assert_eq!(page["credentials"].as_array().unwrap().len(), 2, "{page}");
        assert!(world.is_usable("same").await);
    }
}
