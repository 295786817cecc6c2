//! [`Guessers`]: counts failures, and decides how late their responses are.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    guess::{Guess, Prefix},
    notices::Notices,
    pause::{Pause, Waiting},
};
use crate::{
    clock::{Clock, SystemClock},
    counters::Counters,
    origin::ClientAddress,
};

/// The defaults of [`GuessersBuilder`].
const FAILURES: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
const MEMORY: usize = 1 << 20;
const MOST_WAITING: usize = 1_024;

/// Counts the requests that guess at secrets and tokens, and answers them late.
///
/// Cheap to clone: clones share the counts. See the [module's documentation](super).
#[derive(Clone, Debug)]
pub struct Guessers(Arc<Limiter>);

#[derive(Debug)]
struct Limiter {
    failures: NonZeroU32,
    first_pause: Duration,
    longest_pause: Duration,
    most_waiting: usize,
    clock: Arc<dyn Clock>,
    counters: Counters,
    waiting: Waiting,
    notices: Notices,
    failed: AtomicU64,
    delayed: AtomicU64,
    refused_at_once: AtomicU64,
}

/// What a [`Guessers`] has counted since it was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuesserStats {
    /// Requests with an invalid signature or an unknown token.
    pub failures: u64,
    /// Failures whose response is late.
    pub delayed: u64,
    /// Failures whose response should be late, but was sent at once because too many others
    /// waited.
    pub refused_at_once: u64,
    /// Responses that wait now.
    pub waiting: usize,
}

impl Guessers {
    /// Creates counts with the default of every setting.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder for other settings.
    pub fn builder() -> GuessersBuilder {
        GuessersBuilder {
            failures: FAILURES,
            first_pause: FIRST_PAUSE,
            longest_pause: LONGEST_PAUSE,
            memory: MEMORY,
            most_waiting: MOST_WAITING,
            clock: Arc::new(SystemClock),
        }
    }

    /// Returns what has been counted so far.
    #[must_use]
    pub fn stats(&self) -> GuesserStats {
        let Limiter { failed, delayed, refused_at_once, waiting, .. } = &*self.0;
        GuesserStats {
            failures: failed.load(Relaxed),
            delayed: delayed.load(Relaxed),
            refused_at_once: refused_at_once.load(Relaxed),
            waiting: waiting.count(),
        }
    }

    /// Counts a failure. Returns a pause if its response must be late.
    pub(crate) fn failed(&self, source: Option<ClientAddress>, guess: &Guess) -> Option<Pause> {
        let limiter = &*self.0;
        let (source, now) = (Prefix::of(source), limiter.clock.now());
        limiter.failed.fetch_add(1, Relaxed);
        if !guess.is_of_client() {
            return None;
        }
        let failures = limiter.counters.add(&(source, guess.group()), now);
        let excess = failures.checked_sub(limiter.failures.get()).and_then(NonZeroU32::new)?.get();
        if excess == 1 {
            limiter.notices.slowed(source, guess, now);
        }
        let pause = limiter.waiting.pause(limiter.length(excess), limiter.most_waiting);
        let counter = if pause.is_some() { &limiter.delayed } else { &limiter.refused_at_once };
        counter.fetch_add(1, Relaxed);
        pause
    }
}

impl Default for Guessers {
    fn default() -> Self {
        Self::new()
    }
}

impl Limiter {
    /// The pause of a failure: the second one is twice as long as the first, and so on.
    fn length(&self, excess: u32) -> Duration {
        let factor = 1_u32.checked_shl(excess - 1).unwrap_or(u32::MAX);
        self.first_pause.saturating_mul(factor).min(self.longest_pause)
    }
}

/// Settings of [`Guessers`].
///
/// Each setter replaces the value that an earlier call of it set.
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct GuessersBuilder {
    failures: NonZeroU32,
    first_pause: Duration,
    longest_pause: Duration,
    memory: usize,
    most_waiting: usize,
    clock: Arc<dyn Clock>,
}

impl GuessersBuilder {
    /// Sets how many failures in one minute of the clock are answered at once, for each pair of a
    /// network and an access key. Default: 100.
    pub fn failures(mut self, per_minute: NonZeroU32) -> Self {
        self.failures = per_minute;
        self
    }

    /// Sets how late the response to the first of the further failures is. Each one after it waits
    /// twice as long as the one before, up to the [longest pause](Self::longest_pause). Default:
    /// 250 milliseconds.
    pub fn first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// Sets the longest pause. Default: 8 seconds.
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// Sets the memory for the counts, in bytes. Default: 1 MiB, which is enough for about 60,000
    /// pairs that fail in the same minute.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Sets how many responses may wait at the same time. Further ones are sent at once. Default:
    /// 1,024.
    pub fn most_waiting(mut self, responses: usize) -> Self {
        self.most_waiting = responses;
        self
    }

    /// Sets the source of the current time, which decides when a minute begins. Pauses use tokio's
    /// timer. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Creates the counts.
    #[must_use]
    pub fn build(self) -> Guessers {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self { failures, first_pause, longest_pause, memory, most_waiting, clock } = self;
        Guessers(Arc::new(Limiter {
            failures,
            first_pause,
            longest_pause,
            most_waiting,
            clock,
            counters: Counters::new(memory),
            waiting: Waiting::default(),
            notices: Notices::default(),
            failed: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            refused_at_once: AtomicU64::new(0),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let limiter = Guessers::new().0;
        let lengths = [1, 2, 3, 6, 7, 32, 33, u32::MAX].map(|at| limiter.length(at).as_millis());
        assert_eq!(lengths, [250, 500, 1_000, 8_000, 8_000, 8_000, 8_000, 8_000]);
    }
}
