//! [`KeySampler`]: counts the keys of a store by state and expiry.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use metrics::{Gauge, gauge};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    backend::{ACCESS_KEYS_END, BackendError, CredentialBackend, ListQuery, Order},
    clock::{Clock, SystemClock},
    domain::{Credential, Status},
    meter::names,
};

const DAY: Duration = Duration::from_hours(24);

/// The times of the label `within`, the shortest first.
const WITHIN: [(&str, Duration); 3] =
    [("1d", DAY), ("7d", DAY.saturating_mul(7)), ("30d", DAY.saturating_mul(30))];

/// Counts the key pairs of a store, and publishes the counts as `tower_credentials_keys` and
/// `tower_credentials_keys_expiring`.
///
/// Each sample reads the whole store, one page after the other, and keeps only the counts. It costs
/// the store as much as a list of all keys. Let one process of a store do it.
#[derive(Debug)]
pub struct KeySampler {
    backend: Arc<dyn CredentialBackend>,
    clock: Arc<dyn Clock>,
    active: Gauge,
    inactive: Gauge,
    expired: Gauge,
    expiring: [Gauge; 3],
}

/// The key pairs of a store. Records without an access key do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyCounts {
    /// Keys that are active and have not expired.
    pub active: u64,
    /// Keys that are inactive and have not expired.
    pub inactive: u64,
    /// Keys that have expired, active or not.
    pub expired: u64,
    /// Active keys that expire within a day, within 7 days and within 30 days. Each number includes
    /// the ones before it.
    pub expiring: [u64; 3],
}

impl KeySampler {
    /// Creates a sampler of a store, with the system's clock.
    pub fn new(backend: impl CredentialBackend) -> Self {
        let keys = |state: &'static str| gauge!(names::KEYS, "state" => state);
        Self {
            backend: Arc::new(backend),
            clock: Arc::new(SystemClock),
            active: keys("active"),
            inactive: keys("inactive"),
            expired: keys("expired"),
            expiring: WITHIN.map(|(within, _)| gauge!(names::KEYS_EXPIRING, "within" => within)),
        }
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Counts the keys, publishes the counts and returns them.
    ///
    /// # Errors
    ///
    /// The errors of [`CredentialBackend::list`]. Then the gauges keep the counts of the last sample.
    pub async fn sample(&self) -> Result<KeyCounts, BackendError> {
        let now = self.clock.now();
        let mut counts = KeyCounts::default();
        let mut query = ListQuery::new(Order::Key);
        query.before = Some(ACCESS_KEYS_END.into());
        loop {
            let page = self.backend.list(&query).await?;
            for credential in &page.credentials {
                counts.add(credential, now);
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        self.publish(&counts);
        Ok(counts)
    }

    /// Takes a sample at once, and then at this interval, until the future is dropped. Logs a
    /// failure as a warning.
    ///
    /// # Panics
    ///
    /// If the period is zero, or outside a tokio runtime.
    pub async fn run(self, period: Duration) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.sample().await {
                tracing::warn!(%error, "cannot count the keys of the store");
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a store has fewer than 2^52 keys")]
    fn publish(&self, counts: &KeyCounts) {
        self.active.set(counts.active as f64);
        self.inactive.set(counts.inactive as f64);
        self.expired.set(counts.expired as f64);
        for (gauge, count) in self.expiring.iter().zip(counts.expiring) {
            gauge.set(count as f64);
        }
    }
}

impl KeyCounts {
    fn add(&mut self, credential: &Credential, now: SystemTime) {
        if credential.is_expired(now) {
            self.expired += 1;
            return;
        }
        if credential.status != Status::Active {
            self.inactive += 1;
            return;
        }
        self.active += 1;
        let Some(end) = credential.terms.expires_at() else { return };
        // Not expired: the end is after now.
        let left = end.duration_since(now).unwrap_or_default();
        for (count, (_, within)) in self.expiring.iter_mut().zip(WITHIN) {
            *count += u64::from(left <= within);
        }
    }
}
