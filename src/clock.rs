//! Injected time.
//!
//! All code that needs the current time gets it from a [`Clock`], so that tests of expiry
//! and time stamps need not sleep.

use std::{fmt, sync::Arc, time::SystemTime};

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

impl<T: Clock + ?Sized> Clock for Arc<T> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}

impl<T: Clock + ?Sized> Clock for Box<T> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
