//! Injects the current time.
//!
//! Implement [`Clock`] for tests of expiry and time stamps that do not sleep. All code that needs
//! the current time gets it from a [`Clock`], which is [`SystemClock`] by default.

use std::{fmt, time::SystemTime};

/// Returns the current time.
///
/// # Contract
///
/// [`now`](Self::now) never blocks and may go backwards only when the wall
/// clock does.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current wall-clock time.
    fn now(&self) -> SystemTime;
}

forward_pointers!(Clock {
    fn now(&self) -> SystemTime;
});

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Measures how long something takes, whatever happens to the wall clock. For metrics only.
#[cfg(feature = "metrics")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(std::time::Instant);

#[cfg(feature = "metrics")]
impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "no rule depends on a metric")]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Returns the seconds since the start.
    pub(crate) fn elapsed(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
