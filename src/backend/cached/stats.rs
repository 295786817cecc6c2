//! The metrics of a cache.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// The metrics of a [`Cached`](super::Cached) since it was created.
///
/// The counters are read one after the other while lookups continue, so their sums may be
/// slightly off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Lookups answered from memory with a record.
    pub hits: u64,
    /// Lookups answered from memory: no credential has the access key.
    pub absent_hits: u64,
    /// Lookups that had to wait for the backend.
    pub misses: u64,
    /// Records that left the memory to make room for others.
    pub evictions: u64,
    /// Refreshes of records in use, in the background.
    pub refreshes: u64,
    /// Refreshes that failed.
    pub failed_refreshes: u64,
    /// Changes that a feed reported.
    pub changes: u64,
    /// How often the followed feed broke.
    pub breaks: u64,
    /// Records in memory, including stale ones.
    pub entries: usize,
    /// Absent access keys in memory, including stale ones.
    pub absences: usize,
}

/// How many parts the hits, and the copies of records, have, so that threads do not contend.
pub(super) const STRIPES: usize = 64;

/// The counters.
#[derive(Debug)]
pub(super) struct Counts {
    hits: Box<[Stripe; STRIPES]>,
    pub(super) misses: AtomicU64,
    pub(super) refreshes: AtomicU64,
    pub(super) failed_refreshes: AtomicU64,
    pub(super) changes: AtomicU64,
    pub(super) breaks: AtomicU64,
}

/// Two cache lines, since processors prefetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    present: AtomicU64,
    absent: AtomicU64,
}

impl Counts {
    pub(super) fn hit(&self) {
        self.hits[stripe()].present.fetch_add(1, Relaxed);
    }

    pub(super) fn absent_hit(&self) {
        self.hits[stripe()].absent.fetch_add(1, Relaxed);
    }

    pub(super) fn stats(&self, (entries, absences): (usize, usize), evictions: u64) -> CacheStats {
        let sum = |count: fn(&Stripe) -> &AtomicU64| {
            self.hits.iter().map(|stripe| count(stripe).load(Relaxed)).sum()
        };
        CacheStats {
            hits: sum(|stripe| &stripe.present),
            absent_hits: sum(|stripe| &stripe.absent),
            misses: self.misses.load(Relaxed),
            evictions,
            refreshes: self.refreshes.load(Relaxed),
            failed_refreshes: self.failed_refreshes.load(Relaxed),
            changes: self.changes.load(Relaxed),
            breaks: self.breaks.load(Relaxed),
            entries,
            absences,
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            hits: Box::new(std::array::from_fn(|_| Stripe::default())),
            misses: AtomicU64::default(),
            refreshes: AtomicU64::default(),
            failed_refreshes: AtomicU64::default(),
            changes: AtomicU64::default(),
            breaks: AtomicU64::default(),
        }
    }
}

/// The index of this thread's part.
pub(super) fn stripe() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    STRIPE.with(|stripe| {
        if stripe.get() == usize::MAX {
            stripe.set(THREADS.fetch_add(1, Relaxed) % STRIPES);
        }
        stripe.get()
    })
}
