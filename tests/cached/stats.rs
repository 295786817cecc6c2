//! The metrics of a cache.

use std::time::Duration;

use tower_credentials::backend::{CredentialBackend, cached::Cached};

use crate::{TestClock, disabled, insert, pair, update, version, watched::Watched, world};

#[tokio::test]
async fn lookups_are_counted_by_their_outcome() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    for _ in 0..3 {
        assert_eq!(version(&cached, "key").await, Some(1));
    }
    for _ in 0..4 {
        assert_eq!(version(&cached, "none").await, None);
    }
    backend.set_down(true);
    clock.advance(Duration::from_mins(1));
    assert!(cached.find_by_access_key(&crate::key("key")).await.is_err());
    let stats = cached.stats();
    assert_eq!((stats.hits, stats.absent_hits, stats.misses), (2, 3, 3));
    assert_eq!((stats.entries, stats.absences), (1, 1));
    assert_eq!((stats.refreshes, stats.failed_refreshes), (0, 0));
}

#[test]
fn hits_of_all_threads_are_counted() {
    let (cached, ..) = world();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let cached = &cached;
    runtime.block_on(async {
        insert(cached, &pair("key")).await;
        assert_eq!(version(cached, "key").await, Some(1));
    });
    std::thread::scope(|scope| {
        for _ in 0..100 {
            let handle = runtime.handle();
            scope.spawn(move || {
                handle.block_on(async {
                    for _ in 0..100 {
                        assert_eq!(version(cached, "key").await, Some(1));
                    }
                });
            });
        }
    });
    assert_eq!((cached.stats().hits, cached.stats().misses), (10_000, 1));
}

#[tokio::test]
async fn staleness_is_the_age_of_the_oldest_servable_answer() {
    let (cached, _, clock) = world();
    assert_eq!(cached.staleness(), Duration::ZERO);
    assert_eq!(cached.max_staleness(), Duration::from_secs(10));
    insert(&cached, &pair("old")).await;
    insert(&cached, &pair("young")).await;
    assert_eq!(version(&cached, "old").await, Some(1));
    clock.advance(Duration::from_secs(3));
    assert_eq!(version(&cached, "young").await, Some(1));
    assert_eq!(version(&cached, "none").await, None);
    clock.advance(Duration::from_millis(1_500));
    assert_eq!(cached.staleness(), Duration::from_millis(4_500));
    // Neither a written record nor an expired answer counts.
    assert!(update(&cached, &disabled(&pair("old")), 1).await);
    assert_eq!(cached.staleness(), Duration::from_millis(1_500));
    assert_eq!((cached.stats().entries, cached.stats().absences), (1, 1));
    clock.advance(Duration::from_millis(8_500));
    assert_eq!(cached.staleness(), Duration::ZERO);
    assert_eq!((cached.stats().entries, cached.stats().absences), (0, 0), "and is evicted");
}

#[tokio::test]
async fn debug_shows_settings_and_counts_but_no_record() {
    let builder = Cached::builder(Watched::default()).clock(TestClock::default());
    assert!(format!("{builder:?}").contains("ttl: 10s"));
    let cached = builder.build();
    insert(&cached, &pair("AKIAKEY")).await;
    assert_eq!(version(&cached, "AKIAKEY").await, Some(1));
    let debug = format!("{cached:?}");
    assert!(debug.contains("ttl: 10s") && debug.contains("entries: 1"), "{debug}");
    assert!(!debug.contains("AKIAKEY") && !debug.contains("topsecret"), "{debug}");
}
