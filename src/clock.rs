//! Injected time.
//!
//! Everything that needs the current time asks a [`Clock`], so that expiry and
//! time stamps can be tested without sleeping.

use std::{fmt, sync::Arc, time::SystemTime};

/// Tells the current time.
///
/// # Contract
///
/// [`now`](Self::now) never blocks and may go backwards only when the wall
/// clock does.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current wall-clock time.
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
