//! Counts the allocations of a thread, and the bytes that it holds.

#![allow(unsafe_code, reason = "an allocator is unsafe")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The system's allocator, with a count per thread. Install it with `#[global_allocator]`.
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// What was freed may have been allocated on another thread.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: every call is forwarded to the system's allocator. Only a counter is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        hold(layout.size().cast_signed());
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        hold(size.cast_signed() - layout.size().cast_signed());
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        hold(-layout.size().cast_signed());
        unsafe { System.dealloc(at, layout) }
    }
}

fn hold(bytes: isize) {
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

/// How many bytes this thread has allocated and not freed.
pub fn held() -> isize {
    HELD.with(Cell::get)
}

/// How often this thread has allocated so far.
pub fn so_far() -> usize {
    ALLOCATIONS.with(Cell::get)
}

/// How often this thread allocates while `work` runs.
pub fn allocations<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = so_far();
    let result = work();
    (result, so_far() - before)
}
