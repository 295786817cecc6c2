//! Concurrent lookups of one key call the backend once.

use std::error::Error as _;

use tokio::task::JoinSet;
use tower_credentials::backend::{BackendError, CredentialBackend, cached::Cached};

use crate::{
    TestClock, insert, key, pair, version,
    watched::{CAUSE, Watched},
    world,
};

/// Runs this many lookups of one key while the backend is slow.
async fn look_up_at_once(
    cached: &Cached<Watched>,
    backend: &Watched,
    times: usize,
) -> Vec<Result<Option<u64>, BackendError>> {
    backend.reads().shut();
    let mut asking = JoinSet::new();
    for _ in 0..times {
        let cached = cached.clone();
        asking.spawn(async move {
            let found = cached.find_by_access_key(&key("key")).await?;
            Ok(found.map(|credential| credential.version.get()))
        });
    }
    // Every lookup has started once each task has had its turn.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    backend.reads().open();
    backend.reads().release(times);
    asking.join_all().await
}

#[tokio::test]
async fn thousand_lookups_of_one_key_are_one_call() {
    let (cached, backend, _) = world();
    assert!(
        look_up_at_once(&cached, &backend, 1_000)
            .await
            .iter()
            .all(|found| { matches!(found, Ok(None)) })
    );
    assert_eq!(backend.finds(), 1);
    insert(&cached, &pair("key")).await;
    assert!(
        look_up_at_once(&cached, &backend, 1_000)
            .await
            .iter()
            .all(|found| { matches!(found, Ok(Some(1))) })
    );
    assert_eq!(backend.finds(), 2);
    assert_eq!(cached.stats().misses, 2_000);
}

#[tokio::test]
async fn thousand_lookups_without_a_cache_are_at_most_two_calls() {
    let (backend, clock) = (Watched::default(), TestClock::default());
    let cached =
        Cached::builder(backend.clone()).ttl(std::time::Duration::ZERO).clock(clock).build();
    insert(&cached, &pair("key")).await;
    let found = look_up_at_once(&cached, &backend, 1_000).await;
    assert!(found.iter().all(|found| matches!(found, Ok(Some(1)))));
    assert!(backend.finds() <= 2, "{} calls", backend.finds());
    let before = backend.finds();
    assert_eq!(version(&cached, "key").await, Some(1));
    assert_eq!(version(&cached, "key").await, Some(1));
    assert_eq!(backend.finds(), before + 2, "nothing is cached");
}

#[tokio::test]
async fn waiting_lookups_share_a_failure_with_its_cause_and_the_next_calls_again() {
    let (cached, backend, _) = world();
    insert(&cached, &pair("key")).await;
    backend.set_down(true);
    for found in look_up_at_once(&cached, &backend, 100).await {
        let error = found.unwrap_err();
        assert!(matches!(error, BackendError::Unavailable(_)));
        assert_eq!(error.source().unwrap().to_string(), CAUSE);
    }
    assert_eq!(backend.finds(), 1);
    backend.set_down(false);
    assert_eq!((version(&cached, "key").await, backend.finds()), (Some(1), 2));
}

#[tokio::test]
async fn waiting_lookups_share_a_panic_and_the_next_calls_again() {
    let (cached, backend, _) = world();
    insert(&cached, &pair("key")).await;
    backend.set_panics(true);
    for found in look_up_at_once(&cached, &backend, 100).await {
        assert!(matches!(found, Err(BackendError::Unavailable(_))));
    }
    backend.set_panics(false);
    assert_eq!(version(&cached, "key").await, Some(1));
}

#[tokio::test]
async fn canceled_lookup_still_answers_the_others() {
    let (cached, backend, _) = world();
    insert(&cached, &pair("key")).await;
    backend.reads().shut();
    let (one, other) = (cached.clone(), cached.clone());
    let first = tokio::spawn(async move { version(&one, "key").await });
    backend.reads().arrived(1).await;
    let second = tokio::spawn(async move { version(&other, "key").await });
    tokio::task::yield_now().await;
    first.abort();
    backend.reads().release(1);
    assert_eq!(second.await.unwrap(), Some(1));
    assert_eq!(backend.finds(), 1);
}
