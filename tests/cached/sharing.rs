//! However many look up one key at once, the backend is asked once.

use std::error::Error as _;

use tokio::task::JoinSet;
use tower_credentials::backend::{BackendError, CredentialBackend, cached::Cached};

use crate::{
    TestClock, insert, key, pair, version,
    watched::{CAUSE, Watched},
    world,
};

/// So many look up one key while the backend takes its time.
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
    // All have asked once each of them has had its turn.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    backend.reads().open();
    backend.reads().release(times);
    asking.join_all().await
}

#[tokio::test]
async fn a_thousand_lookups_of_one_key_are_one_question() {
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
async fn without_remembering_a_thousand_lookups_are_two_questions_at_most() {
    let (backend, clock) = (Watched::default(), TestClock::new());
    let cached =
        Cached::builder(backend.clone()).ttl(std::time::Duration::ZERO).clock(clock).build();
    insert(&cached, &pair("key")).await;
    let found = look_up_at_once(&cached, &backend, 1_000).await;
    assert!(found.iter().all(|found| matches!(found, Ok(Some(1)))));
    assert!(backend.finds() <= 2, "{} questions", backend.finds());
    let before = backend.finds();
    assert_eq!(version(&cached, "key").await, Some(1));
    assert_eq!(version(&cached, "key").await, Some(1));
    assert_eq!(backend.finds(), before + 2, "nothing is remembered");
}

#[tokio::test]
async fn all_who_wait_hear_of_one_failure_with_its_cause_and_the_next_asks_anew() {
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
async fn all_who_wait_hear_of_a_panic_and_the_next_asks_anew() {
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
async fn a_lookup_whose_caller_goes_away_is_answered_to_the_others() {
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
