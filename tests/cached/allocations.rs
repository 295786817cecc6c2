//! Lookups in memory do not allocate.

use tower_credentials::{
    backend::{KeySource, Known},
    clock::Clock,
};

use crate::{counting::allocations, insert, pair, version, world};

#[tokio::test]
async fn lookup_in_memory_does_not_allocate() {
    let (cached, _, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    assert_eq!(version(&cached, "none").await, None);
    let now = clock.now();
    // The first lookups of a thread copy the record.
    for _ in 0..4 {
        cached.known("key", now);
    }
    let (known, allocated) = allocations(|| cached.known("key", now));
    assert!(matches!(known, Some(Known::Present(_))));
    assert_eq!(allocated, 0, "a record");
    let (known, allocated) = allocations(|| cached.known("none", now));
    assert!(matches!(known, Some(Known::Absent)));
    assert_eq!(allocated, 0, "an absence");
    let (known, allocated) = allocations(|| cached.known("never asked for", now));
    assert!(known.is_none());
    assert_eq!(allocated, 0, "nothing");
    let (_, allocated) = allocations(|| Box::new(1_u64));
    assert_eq!(allocated, 1, "allocations are counted");
}
