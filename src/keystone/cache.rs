//! What was heard of Keystone, for as long as it counts.

use std::{
    fmt,
    hash::Hash,
    sync::Arc,
    time::{Duration, SystemTime},
};

use quick_cache::sync::Cache;

use super::KeystoneError;
use crate::{clock::Clock, flight::Flights};

/// What to do with answers that are due to be asked again while Keystone is out
/// of order: it cannot be reached, is too slow, or answers with errors or garbage.
///
/// Not an outage is a refusal: when Keystone does not accept the service user any
/// more, nothing old is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// Nothing old is served: the question fails.
    #[default]
    FailClosed,
    /// What was good is served for this much longer, but never a token past its
    /// own end. For so long a revocation may go unnoticed in an outage.
    ServeStale(Duration),
}

/// How long answers count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) max_age: Duration,
    pub(super) capacity: usize,
    pub(super) outage: Outage,
}

impl Default for Settings {
    fn default() -> Self {
        let (max_age, capacity) = (Duration::from_mins(1), 10_000);
        Self { max_age, capacity, outage: Outage::default() }
    }
}

/// For how long "there is none" counts at most.
const MAX_AGE_OF_ABSENCE: Duration = Duration::from_secs(5);

/// How many absences are remembered at most. They have a place of their own, so
/// that questions about made-up things push nothing out.
const MAX_ABSENCES: usize = 1_000;

/// For how long, once something stale had to be served, it is served at once.
const PAUSE: Duration = Duration::from_secs(5);

/// What there is, and when it ends by itself.
pub(super) struct Found<V> {
    pub(super) value: V,
    pub(super) ends_at: Option<SystemTime>,
}

/// What Keystone said: the thing, or that there is none.
pub(super) type Heard<V> = Result<Option<Found<V>>, KeystoneError>;

/// Remembers answers up to an age. Clones share everything.
///
/// An answer is as old as its question. One from the future, after the clock was
/// put back, has no known age and is asked again: nothing outlives its time by
/// more than the step, and in an outage it is not served.
pub(super) struct AgedCache<K, V>(Arc<Inner<K, V>>);

type Answer<V> = Result<Option<V>, KeystoneError>;

struct Inner<K, V> {
    settings: Settings,
    clock: Arc<dyn Clock>,
    present: Cache<K, Kept<V>>,
    absent: Cache<K, SystemTime>,
    flights: Arc<Flights<K, Answer<V>>>,
}

#[derive(Clone)]
struct Kept<V> {
    value: V,
    asked_at: SystemTime,
    ends_at: Option<SystemTime>,
    /// When asking again failed last, and this was served all the same.
    failed_at: Option<SystemTime>,
}

impl<K, V> AgedCache<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            settings,
            clock,
            present: Cache::new(settings.capacity),
            absent: Cache::new(MAX_ABSENCES.min(settings.capacity)),
            flights: Arc::default(),
        }))
    }

    /// The answer if it is young enough, else what `ask` brings. However many ask
    /// at once, one question is asked, and all hear the same.
    pub(super) async fn get<F>(&self, key: &K, ask: impl FnOnce() -> F) -> Answer<V>
    where
        F: Future<Output = Heard<V>> + Send + 'static,
    {
        if let Some(known) = self.0.known(key) {
            return known;
        }
        let joined = self.0.flights.join(
            key,
            || self.0.known(key),
            || {
                let (inner, key, asking) = (Arc::clone(&self.0), key.clone(), ask());
                async move {
                    let asked_at = inner.clock.now();
                    let heard = asking.await;
                    inner.keep(key, asked_at, heard)
                }
            },
        );
        let ended = || Err(KeystoneError::unexpected("the question was given up"));
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
        let max_age = MAX_AGE_OF_ABSENCE.min(self.settings.max_age);
        let asked_at = self.absent.get(key)?;
        is_younger(asked_at, now, max_age).then_some(Ok(None))
    }

    fn is_servable(&self, kept: &Kept<V>, now: SystemTime) -> bool {
        let fresh = is_younger(kept.asked_at, now, self.settings.max_age)
            && kept.ends_at.is_none_or(|end| now < end);
        let paused = || kept.failed_at.is_some_and(|at| is_younger(at, now, PAUSE));
        fresh || (paused() && self.is_servable_stale(kept, now))
    }

    fn is_servable_stale(&self, kept: &Kept<V>, now: SystemTime) -> bool {
        let Outage::ServeStale(longer) = self.settings.outage else { return false };
        is_younger(kept.asked_at, now, self.settings.max_age.saturating_add(longer))
            && kept.ends_at.is_none_or(|end| now < end)
    }

    /// Remembers what was heard, and says what to answer.
    fn keep(&self, key: K, asked_at: SystemTime, heard: Heard<V>) -> Answer<V> {
        match heard {
            Ok(Some(Found { value, ends_at })) => {
                self.absent.remove(&key);
                let kept = Kept { value: value.clone(), asked_at, ends_at, failed_at: None };
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
                tracing::warn!(%error, "Keystone is out of order; an old answer is served");
                let value = kept.value.clone();
                self.present.insert(key, Kept { failed_at: Some(now), ..kept });
                Ok(Some(value))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_younger(asked_at: SystemTime, now: SystemTime, age: Duration) -> bool {
    now.duration_since(asked_at).is_ok_and(|old| old < age)
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
