//! What is known at once costs no allocation.

#![allow(unsafe_code, reason = "a counting allocator is unsafe by nature")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use tower_credentials::{
    backend::{KeySource, Known},
    clock::Clock,
};

use crate::{insert, pair, version, world};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is the system allocator's own; only a counter is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATIONS.with(Cell::get);
    let result = work();
    (result, ALLOCATIONS.with(Cell::get) - before)
}

#[tokio::test]
async fn what_is_known_at_once_is_told_without_allocating() {
    let (cached, _, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    assert_eq!(version(&cached, "none").await, None);
    let now = clock.now();
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
