//! A clock for tests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_credentials::clock::Clock;

/// A clock that stands still until it is moved. Its resolution is a microsecond.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicU64>);

impl Default for TestClock {
    /// A clock at 2026-01-02T03:04:05Z.
    fn default() -> Self {
        Self::at(UNIX_EPOCH + Duration::from_secs(1_767_323_045))
    }
}

impl TestClock {
    pub fn at(time: SystemTime) -> Self {
        Self(Arc::new(AtomicU64::new(micros(time.duration_since(UNIX_EPOCH).unwrap()))))
    }

    pub fn set(&self, time: SystemTime) {
        self.0.store(micros(time.duration_since(UNIX_EPOCH).unwrap()), Ordering::SeqCst);
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(micros(by), Ordering::SeqCst);
    }

    pub fn put_back(&self, by: Duration) {
        self.0.fetch_sub(micros(by), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.0.load(Ordering::SeqCst))
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap()
}
