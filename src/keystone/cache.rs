//! Keystone's answers, cached for a time.

use std::{
    fmt,
    hash::Hash,
    sync::Arc,
    time::{Duration, SystemTime},
};

use quick_cache::sync::Cache;

use crate::{clock::Clock, flight::Flights};

use super::error::KeystoneError;

/// What to do with expired answers during an outage of Keystone: while it cannot be reached, is
/// too slow, or returns errors or garbage.
///
/// When Keystone rejects the service user, that is not an outage, and no expired answer is
/// served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// No expired answer is served. The call fails.
    #[default]
    FailClosed,
    /// Positive answers are served for this much longer, but no token after its own expiry. A
    /// revocation may take that much longer to take effect during an outage.
    ServeStale(Duration),
}

/// The settings of all caches of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheSettings {
    pub(super) ttl: Duration,
    pub(super) capacity: usize,
    pub(super) outage: Outage,
}

impl Default for CacheSettings {
    fn default() -> Self {
        let (ttl, capacity) = (Duration::from_mins(1), 10_000);
        Self { ttl, capacity, outage: Outage::default() }
    }
}

/// Maximum lifetime of negative answers.
const MAX_ABSENCE_TTL: Duration = Duration::from_secs(5);

/// How many negative answers are cached. They have a cache of their own, so that lookups of
/// made-up ids evict no positive answer.
const MAX_ABSENCES: usize = 1_000;

/// How long an expired answer is served without asking again, after Keystone failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// A positive answer, and when it expires by itself.
pub(super) struct Found<V> {
    pub(super) value: V,
    pub(super) expires_at: Option<SystemTime>,
}

/// Keystone's answer; `None` if the thing does not exist.
pub(super) type Fetched<V> = Result<Option<Found<V>>, KeystoneError>;

/// Caches answers for a time. Clones share everything.
///
/// The age of an answer counts from the request. If the clock was set back, an answer may be
/// from the future. Its age is then unknown: it is fetched again, and not served during an
/// outage.
pub(super) struct AgedCache<K, V>(Arc<Inner<K, V>>);

type Answer<V> = Result<Option<V>, KeystoneError>;

struct Inner<K, V> {
    settings: CacheSettings,
    clock: Arc<dyn Clock>,
    present: Cache<K, Kept<V>>,
    absent: Cache<K, SystemTime>,
    flights: Arc<Flights<K, Answer<V>>>,
}

#[derive(Clone)]
struct Kept<V> {
    value: V,
    asked_at: SystemTime,
    expires_at: Option<SystemTime>,
    /// When a renewal last failed and the expired answer was served.
    failed_at: Option<SystemTime>,
}

impl<K, V> AgedCache<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(settings: CacheSettings, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            settings,
            clock,
            present: Cache::new(settings.capacity),
            absent: Cache::new(MAX_ABSENCES.min(settings.capacity)),
            flights: Arc::default(),
        }))
    }

    /// Returns the cached answer, or fetches it. Concurrent calls for one key share a single
    /// request and its result.
    pub(super) async fn get<F>(&self, key: &K, fetch: impl FnOnce() -> F) -> Answer<V>
    where
        F: Future<Output = Fetched<V>> + Send + 'static,
    {
        if let Some(known) = self.0.known(key) {
            return known;
        }
        let joined = self.0.flights.join(
            key,
            || self.0.known(key),
            || {
                let (inner, key, fetching) = (Arc::clone(&self.0), key.clone(), fetch());
                async move {
                    let asked_at = inner.clock.now();
                    let fetched = fetching.await;
                    inner.store(key, asked_at, fetched)
                }
            },
        );
        let ended = || Err(KeystoneError::unexpected("the request was aborted"));
        joined.answer().await.unwrap_or_else(ended)
    }
}

impl<K, V> Inner<K, V>
where
    K: Clone + Eq + Hash,
    V: Clone,
{
    fn known(&self, key: &K) -> Option<Answer<V>> {
        let now = self.clock.now();
        if let Some(kept) = self.present.get(key) {
            return self.is_servable(&kept, now).then_some(Ok(Some(kept.value)));
        }
        let ttl = MAX_ABSENCE_TTL.min(self.settings.ttl);
        let asked_at = self.absent.get(key)?;
        is_younger(asked_at, now, ttl).then_some(Ok(None))
    }

    fn is_servable(&self, kept: &Kept<V>, now: SystemTime) -> bool {
        let is_fresh = is_younger(kept.asked_at, now, self.settings.ttl)
            && kept.expires_at.is_none_or(|expiry| now < expiry);
        let is_paused = || kept.failed_at.is_some_and(|at| is_younger(at, now, RETRY_PAUSE));
        is_fresh || (is_paused() && self.is_servable_stale(kept, now))
    }

    fn is_servable_stale(&self, kept: &Kept<V>, now: SystemTime) -> bool {
        let Outage::ServeStale(longer) = self.settings.outage else { return false };
        is_younger(kept.asked_at, now, self.settings.ttl.saturating_add(longer))
            && kept.expires_at.is_none_or(|expiry| now < expiry)
    }

    /// Caches an answer and returns what to serve.
    fn store(&self, key: K, asked_at: SystemTime, fetched: Fetched<V>) -> Answer<V> {
        match fetched {
            Ok(Some(Found { value, expires_at })) => {
                self.absent.remove(&key);
                let kept = Kept { value: value.clone(), asked_at, expires_at, failed_at: None };
                self.present.insert(key, kept);
                Ok(Some(value))
            }
            Ok(None) => {
                self.present.remove(&key);
                self.absent.insert(key, asked_at);
                Ok(None)
            }
            Err(error) if error.is_outage() => {
                let now = self.clock.now();
                let Some(kept) = self.present.get(&key) else { return Err(error) };
                if !self.is_servable_stale(&kept, now) {
                    return Err(error);
                }
                tracing::warn!(%error, "Keystone is unavailable; serving an expired answer");
                let value = kept.value.clone();
                self.present.insert(key, Kept { failed_at: Some(now), ..kept });
                Ok(Some(value))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_younger(asked_at: SystemTime, now: SystemTime, age: Duration) -> bool {
    now.duration_since(asked_at).is_ok_and(|elapsed| elapsed < age)
}

impl<K, V> Clone for AgedCache<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for AgedCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgedCache").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
