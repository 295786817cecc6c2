//! Failures of the backend.

use std::{error::Error as _, time::Duration};

use tower_credentials::{
    backend::{BackendError, CredentialBackend, KeySource},
    clock::Clock,
};

use crate::{insert, key, pair, until, version, watched::CAUSE, world};

#[tokio::test]
async fn entries_are_served_during_an_outage_until_they_expire() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    backend.set_down(true);
    let mut refreshes = 0;
    for _ in 0..99 {
        clock.advance(Duration::from_millis(100));
        assert!(cached.known("key", clock.now()).is_some());
        let asked = cached.stats().refreshes;
        until(|| cached.stats().failed_refreshes == asked).await;
        tokio::task::yield_now().await;
        until(|| cached.stats().failed_refreshes == cached.stats().refreshes).await;
        refreshes = cached.stats().refreshes;
    }
    assert!((2..=4).contains(&refreshes), "refreshed {refreshes} times, and not for every hit");
    clock.advance(Duration::from_millis(100));
    let error = cached.find_by_access_key(&key("key")).await.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)));
    assert_eq!(error.source().unwrap().to_string(), CAUSE);
    backend.set_down(false);
    assert_eq!(version(&cached, "key").await, Some(1), "failures are not cached");
}

#[tokio::test(start_paused = true)]
async fn hanging_call_times_out_and_can_be_repeated() {
    let (cached, backend, _) = world();
    insert(&cached, &pair("key")).await;
    backend.reads().shut();
    for _ in 0..2 {
        let error = cached.find_by_access_key(&key("key")).await.unwrap_err();
        assert!(matches!(error, BackendError::Unavailable(_)));
    }
    backend.reads().open();
    assert_eq!(version(&cached, "key").await, Some(1));
}

#[tokio::test]
async fn failed_refresh_is_retried() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    backend.set_down(true);
    clock.advance(Duration::from_millis(7_500));
    assert!(cached.known("key", clock.now()).is_some());
    until(|| cached.stats().failed_refreshes == 1).await;
    backend.set_down(false);
    clock.advance(Duration::from_millis(700));
    assert!(cached.known("key", clock.now()).is_some());
    until(|| cached.stats().refreshes == 2).await;
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(7));
    assert!(cached.known("key", clock.now()).is_some(), "it was refreshed");
    assert_eq!((cached.stats().failed_refreshes, cached.stats().misses), (1, 1));
}

#[tokio::test]
async fn panicked_refresh_is_retried_and_the_key_still_served() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    backend.set_panics(true);
    clock.advance(Duration::from_millis(7_500));
    assert!(cached.known("key", clock.now()).is_some());
    until(|| backend.finds() == 2).await;
    backend.set_panics(false);
    clock.advance(Duration::from_millis(700));
    assert!(cached.known("key", clock.now()).is_some());
    until(|| backend.finds() == 3).await;
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(7));
    assert!(cached.known("key", clock.now()).is_some(), "it was refreshed");
}
