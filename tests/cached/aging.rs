//! How long answers are served, and when they are refreshed.

use std::time::Duration;

use tower_credentials::{
    backend::{CredentialBackend, KeySource, Known, cached::Cached, sqlite::SqliteBackend},
    clock::Clock,
    domain::Version,
};

use crate::{TestClock, disabled, insert, pair, until, update, version, watched::Watched, world};

/// No record has this version.
const ABSENT: u64 = 0;

/// The version that is served from memory, at the time of the cache's clock.
fn known(cached: &Cached<Watched>, clock: &TestClock, access_key: &str) -> Option<u64> {
    cached.known(access_key, clock.now()).map(|known| match known {
        Known::Absent => ABSENT,
        Known::Present(credential) => credential.version.get(),
    })
}

#[tokio::test]
async fn write_of_another_process_takes_effect_within_the_ttl() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let open = || {
        let backend = SqliteBackend::open(folder.path().join("credentials.db")).unwrap();
        Cached::builder(backend).clock(clock.clone()).build()
    };
    let (here, elsewhere) = (open(), open());
    insert(&here, &pair("key")).await;
    assert_eq!(version(&here, "key").await, Some(1));
    assert_eq!(version(&here, "later").await, None);
    assert!(update(&elsewhere, &disabled(&pair("key")), 1).await);
    insert(&elsewhere, &pair("later")).await;

    clock.advance(Duration::from_millis(1_999));
    assert_eq!(version(&here, "later").await, None, "from memory");
    clock.advance(Duration::from_millis(1));
    assert_eq!(version(&here, "later").await, Some(1), "the ttl of absences is 2 s");
    assert_eq!(version(&here, "key").await, Some(1), "from memory");
    clock.advance(Duration::from_secs(8));
    assert_eq!(version(&here, "key").await, Some(2), "the ttl is 10 s");
    assert_eq!(version(&elsewhere, "key").await, Some(2));

    assert!(elsewhere.delete(&pair("key").id, Version::from_stored(2)).await.unwrap());
    assert_eq!(version(&elsewhere, "key").await, None);
    clock.advance(Duration::from_secs(10));
    assert_eq!(version(&here, "key").await, None);
}

#[tokio::test]
async fn answer_is_as_old_as_its_call() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    backend.reads().shut();
    let other = cached.clone();
    let slow = tokio::spawn(async move { version(&other, "key").await });
    backend.reads().arrived(1).await;
    assert!(update(backend.elsewhere(), &disabled(&pair("key")), 1).await);
    clock.advance(Duration::from_secs(10));
    backend.reads().open();
    backend.reads().release(1);
    assert_eq!(slow.await.unwrap(), Some(1));
    assert_eq!(known(&cached, &clock, "key"), None);
    assert_eq!(version(&cached, "key").await, Some(2));
}

#[tokio::test]
async fn lookup_joins_no_call_older_than_the_ttl() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    backend.reads().shut();
    let (one, other) = (cached.clone(), cached.clone());
    let slow = tokio::spawn(async move { version(&one, "key").await });
    backend.reads().arrived(1).await;
    assert!(update(backend.elsewhere(), &disabled(&pair("key")), 1).await);
    clock.advance(Duration::from_secs(10));
    let late = tokio::spawn(async move { version(&other, "key").await });
    tokio::task::yield_now().await;
    backend.reads().open();
    backend.reads().release(1);
    assert_eq!(slow.await.unwrap(), Some(1));
    assert_eq!(late.await.unwrap(), Some(2));
}

#[tokio::test]
async fn key_in_use_is_refreshed_once_in_the_last_quarter_of_its_time() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    clock.advance(Duration::from_millis(7_499));
    for _ in 0..10 {
        assert_eq!(known(&cached, &clock, "key"), Some(1));
        tokio::task::yield_now().await;
    }
    assert_eq!((backend.finds(), cached.stats().refreshes), (1, 0));

    clock.advance(Duration::from_millis(1));
    assert!(update(backend.elsewhere(), &disabled(&pair("key")), 1).await);
    backend.reads().shut();
    for _ in 0..1_000 {
        assert_eq!(known(&cached, &clock, "key"), Some(1), "served from memory");
        tokio::task::yield_now().await;
    }
    assert_eq!((backend.finds(), cached.stats().refreshes), (2, 1));
    backend.reads().open();
    backend.reads().release(1);
    until(|| known(&cached, &clock, "key") == Some(2)).await;
    clock.advance(Duration::from_millis(7_499));
    assert_eq!(version(&cached, "key").await, Some(2));
    assert_eq!((backend.finds(), cached.stats().failed_refreshes), (2, 0));
}

#[tokio::test]
async fn lookup_of_a_key_in_use_never_waits() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    for second in 0..200 {
        clock.advance(Duration::from_secs(1));
        assert_eq!(known(&cached, &clock, "key"), Some(1), "after {second} s");
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(backend.finds(), 1 + 200 / 8);
    assert_eq!(cached.stats().misses, 1);
}

#[tokio::test]
async fn refresh_from_before_a_write_is_not_served_after_it() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    clock.advance(Duration::from_secs(8));
    backend.reads().shut();
    assert_eq!(known(&cached, &clock, "key"), Some(1));
    backend.reads().arrived(1).await;
    assert!(update(&cached, &disabled(&pair("key")), 1).await);
    backend.reads().open();
    backend.reads().release(1);
    assert_eq!(version(&cached, "key").await, Some(2));
}

#[test]
fn entry_due_for_refresh_is_served_outside_a_runtime() {
    let (cached, backend, clock) = world();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        insert(&cached, &pair("key")).await;
        assert_eq!(version(&cached, "key").await, Some(1));
    });
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(known(&cached, &clock, "key"), Some(1));
    clock.advance(Duration::from_millis(1));
    assert_eq!(known(&cached, &clock, "key"), None);
    assert_eq!(backend.finds(), 1);
}

#[tokio::test]
async fn answer_from_the_future_is_looked_up_again() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    assert_eq!(version(&cached, "none").await, None);
    assert_eq!(backend.finds(), 2);
    clock.put_back(Duration::from_millis(1));
    assert_eq!(known(&cached, &clock, "key"), None);
    assert_eq!(known(&cached, &clock, "none"), None);
    assert_eq!(version(&cached, "key").await, Some(1));
    assert_eq!(version(&cached, "none").await, None);
    assert_eq!(backend.finds(), 4);
    assert_eq!(known(&cached, &clock, "key"), Some(1));
    assert_eq!(known(&cached, &clock, "none"), Some(ABSENT));
}

#[tokio::test]
async fn deleted_record_is_not_revived_when_the_clock_is_set_back() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    assert!(backend.elsewhere().delete(&pair("key").id, Version::from_stored(1)).await.unwrap());
    clock.advance(Duration::from_secs(11));
    assert_eq!(version(&cached, "key").await, None);
    assert_eq!((cached.stats().entries, cached.stats().absences), (0, 1));
    clock.put_back(Duration::from_secs(5));
    assert_eq!(known(&cached, &clock, "key"), None);
    assert_eq!(version(&cached, "key").await, None);
}

#[tokio::test]
async fn absence_is_never_served_longer_than_a_record() {
    let (backend, clock) = (Watched::default(), TestClock::default());
    let cached = Cached::builder(backend.clone())
        .absence_ttl(Duration::from_mins(1))
        .ttl(Duration::from_secs(1))
        .clock(clock.clone())
        .build();
    assert_eq!(version(&cached, "key").await, None);
    insert(backend.elsewhere(), &pair("key")).await;
    clock.advance(Duration::from_millis(999));
    assert_eq!(version(&cached, "key").await, None);
    clock.advance(Duration::from_millis(1));
    assert_eq!(version(&cached, "key").await, Some(1));
}
