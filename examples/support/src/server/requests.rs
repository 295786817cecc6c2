//! Counts the requests of a connection, to find out when it is idle.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// How often a connection is examined in the time that it may be idle.
const LOOKS: u32 = 5;

/// Counts the requests of a connection. Clones share the counts.
#[derive(Clone)]
pub(super) struct Requests(Arc<Counts>);

struct Counts {
    running: AtomicUsize,
    /// How many have begun or ended.
    changes: AtomicU64,
    /// When the last request ended, or the connection began, in milliseconds.
    idle_since: AtomicU64,
    is_evicted: AtomicBool,
    evicted: Notify,
}

/// A running request. Dropping it ends the request.
pub(super) struct Running(Requests);

impl Requests {
    /// The counts of a new connection.
    pub(super) fn new() -> Self {
        Self(Arc::new(Counts {
            running: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            idle_since: AtomicU64::new(now()),
            is_evicted: AtomicBool::new(false),
            evicted: Notify::new(),
        }))
    }

    pub(super) fn begin(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        self.0.changes.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    /// Waits until no request has run for this long, or a little longer. Requests only count, so
    /// that none sets a timer.
    pub(super) async fn idle_for(&self, time: Duration) {
        let (mut seen, mut idle) = (0, 0);
        while idle < LOOKS {
            sleep(time / LOOKS).await;
            let changes = self.0.changes.load(Ordering::Relaxed);
            let is_idle = changes == seen && self.is_idle();
            idle = if is_idle { idle + 1 } else { 0 };
            seen = changes;
        }
    }

    /// Returns for how long the connection has been idle. `None` if it is not, or is being closed.
    pub(super) fn idle_time(&self) -> Option<Duration> {
        let is_candidate = self.is_idle() && !self.0.is_evicted.load(Ordering::Relaxed);
        let since = self.0.idle_since.load(Ordering::Relaxed);
        is_candidate.then(|| Duration::from_millis(now().saturating_sub(since)))
    }

    /// Returns whether a request has begun.
    pub(super) fn had_any(&self) -> bool {
        self.0.changes.load(Ordering::Relaxed) > 0
    }

    /// Asks the task of the connection to close it.
    pub(super) fn evict(&self) {
        self.0.is_evicted.store(true, Ordering::Relaxed);
        self.0.evicted.notify_one();
    }

    /// Waits until the connection is to be closed and is idle.
    pub(super) async fn evicted(&self) {
        loop {
            self.0.evicted.notified().await;
            if self.is_idle() {
                return;
            }
            self.0.is_evicted.store(false, Ordering::Relaxed);
        }
    }

    fn is_idle(&self) -> bool {
        self.0.running.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let counts = &self.0.0;
        counts.idle_since.store(now(), Ordering::Relaxed);
        counts.changes.fetch_add(1, Ordering::Relaxed);
        counts.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The milliseconds since the first call.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed().as_millis();
    u64::try_from(elapsed).unwrap_or(u64::MAX)
}
