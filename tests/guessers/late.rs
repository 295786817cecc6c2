//! Guessers on a clock for tests, and whether a response is late.

use std::{
    future::{Future, poll_fn},
    num::NonZeroU32,
    pin::pin,
    task::Poll,
};

use test_support::clock::TestClock;
use tokio::task::yield_now;
use tower_credentials::{
    ClientAddress,
    guessers::{Guessers, GuessersBuilder},
};

/// The failures of a pair that are answered at once in a minute.
pub(crate) const ALLOWED: u32 = 3;

/// Guessers that answer [`ALLOWED`] failures at once.
pub(crate) fn guessers(clock: &TestClock) -> Guessers {
    with(clock, |builder| builder)
}

pub(crate) fn with(
    clock: &TestClock,
    set: impl FnOnce(GuessersBuilder) -> GuessersBuilder,
) -> Guessers {
    let allowed = NonZeroU32::new(ALLOWED).unwrap();
    set(Guessers::builder().clock(clock.clone()).failures(allowed)).build()
}

pub(crate) fn from(address: &str) -> ClientAddress {
    ClientAddress(address.parse().unwrap())
}

/// The result of a future that does not wait for time. `None` if it does: it is dropped.
pub(crate) async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    // Other tasks get turns, but as long as one is ready, time stands still.
    for _ in 0..64 {
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        yield_now().await;
    }
    None
}
