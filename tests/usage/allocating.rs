//! What noting a use costs in memory.

#![allow(unsafe_code, reason = "a counting allocator is unsafe by nature")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use tower_credentials::usage::UsageRecorder;

use crate::{at, key, logs::Log};

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

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[tokio::test]
async fn a_further_use_of_a_key_allocates_nothing() {
    let recorder = UsageRecorder::new(Log::default());
    let keys: Vec<_> = (0..100).map(|n| key(&format!("key-{n}"))).collect();
    let first = allocations(|| keys.iter().for_each(|key| recorder.used(key, at(0))));
    assert!(first >= keys.len(), "the counter counts");
    for (seconds, which) in [(0, "in the same second"), (1, "in another"), (0, "an older one")] {
        let again = allocations(|| keys.iter().for_each(|key| recorder.used(key, at(seconds))));
        assert_eq!(again, 0, "{which}");
    }
}

#[tokio::test]
async fn a_use_that_is_dropped_allocates_nothing() {
    let recorder = UsageRecorder::builder(Log::default()).capacity(1).start();
    let (first, second) = (key("first"), key("second"));
    recorder.used(&first, at(0));
    assert_eq!(allocations(|| recorder.used(&second, at(0))), 0);
    assert_eq!(recorder.dropped(), 1);
}
