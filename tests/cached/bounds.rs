//! The capacity of the cache, and what is evicted.

use tower_credentials::{
    backend::{KeySource, Known, cached::Cached},
    clock::Clock,
};

use crate::{TestClock, insert, pair, version, watched::Watched, world};

#[tokio::test]
async fn million_unknown_keys_are_bounded_and_evict_no_record() {
    let (cached, backend, clock) = world();
    for number in 0..1_000 {
        let name = format!("key-{number}");
        insert(backend.elsewhere(), &pair(&name)).await;
        assert_eq!(version(&cached, &name).await, Some(1));
    }
    for number in 0..1_000_000 {
        assert_eq!(version(&cached, &number.to_string()).await, None);
    }
    let stats = cached.stats();
    assert!(stats.absences <= 10_000, "{}", stats.absences);
    assert_eq!(stats.entries, 1_000);
    for number in 0..1_000 {
        let known = cached.known(&format!("key-{number}"), clock.now());
        assert!(matches!(known, Some(Known::Present(_))), "{number} was evicted");
    }
}

#[tokio::test]
async fn number_of_entries_never_exceeds_the_capacity() {
    for capacity in [0, 1, 10, 100, 1_000, 1_234] {
        let (backend, clock) = (Watched::default(), TestClock::default());
        let cached = Cached::builder(backend.clone()).capacity(capacity).absence_capacity(capacity);
        let cached = cached.clock(clock).build();
        for number in 0..3_000 {
            let name = format!("key-{number}");
            insert(backend.elsewhere(), &pair(&name)).await;
            assert_eq!(version(&cached, &name).await, Some(1));
            assert_eq!(version(&cached, &number.to_string()).await, None);
        }
        let stats = cached.stats();
        let fits = |held: usize| held <= capacity && held >= capacity * 9 / 10;
        assert!(fits(stats.entries), "{} of {capacity}", stats.entries);
        assert!(fits(stats.absences), "{} of {capacity}", stats.absences);
    }
}

#[tokio::test]
async fn long_records_count_as_several() {
    let (backend, clock) = (Watched::default(), TestClock::default());
    let cached = Cached::builder(backend.clone()).capacity(60).clock(clock).build();
    for number in 0..60 {
        let name = format!("key-{number}");
        let mut long = pair(&name);
        long.attributes.insert("note".into(), "x".repeat(20_000).into());
        insert(backend.elsewhere(), &long).await;
        assert_eq!(version(&cached, &name).await, Some(1));
    }
    let entries = cached.stats().entries;
    assert!((8..=12).contains(&entries), "{entries}");
}

#[tokio::test]
async fn overlong_access_keys_are_found_but_not_cached() {
    let (cached, backend, clock) = world();
    let (longest, longer) = ("k".repeat(256), "k".repeat(257));
    for name in [&longest, &longer] {
        assert_eq!(version(&cached, name).await, None);
        insert(&cached, &pair(name)).await;
        assert_eq!(version(&cached, name).await, Some(1));
        assert_eq!(version(&cached, name).await, Some(1));
    }
    assert_eq!(backend.finds(), 2 + 3);
    assert!(matches!(cached.known(&longest, clock.now()), Some(Known::Present(_))));
    assert!(cached.known(&longer, clock.now()).is_none());
    assert_eq!((cached.stats().entries, cached.stats().absences), (1, 0));
}
