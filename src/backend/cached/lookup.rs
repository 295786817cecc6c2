//! Lookups: from memory, or from the backend with one call shared by all callers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{runtime::Handle, time::timeout};

use super::error;
use super::memory::{Entry, Memory, Recalled, Settings};
use super::stats::Counts;
use crate::backend::{BackendError, CredentialBackend, Known};
use crate::clock::Clock;
use crate::domain::{AccessKey, Credential};
use crate::flight::Flights;
use crate::log;

/// Longer access keys are not cached: this crate creates none that long, and unauthenticated
/// clients must not fill the memory with them.
const MAX_ACCESS_KEY: usize = 256;

/// The timeout of a call of the backend, for which all lookups of the key wait.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// At most one warning about an outage in this many seconds, not one for every key in use.
const SECONDS_BETWEEN_WARNINGS: u64 = 10;

type Answer = Result<Entry, Arc<BackendError>>;

/// The state that all handles to one cache share.
pub(super) struct Inner<B> {
    pub(super) backend: B,
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) memory: Memory,
    flights: Arc<Flights<Box<str>, Answer>>,
    pub(super) counts: Counts,
    /// The time of the last warning about an outage, in seconds since 1970.
    warned_at: AtomicU64,
}

impl<B> Inner<B> {
    pub(super) fn new(backend: B, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            backend,
            settings,
            clock,
            memory: Memory::new(settings),
            flights: Arc::default(),
            counts: Counts::default(),
            warned_at: AtomicU64::default(),
        }
    }
}

impl<B: CredentialBackend> Inner<B> {
    /// Returns what the memory has. May start a refresh in the background, without waiting for
    /// it.
    pub(super) fn recall(self: &Arc<Self>, access_key: &str, now: SystemTime) -> Option<Known> {
        if access_key.len() > MAX_ACCESS_KEY {
            return None;
        }
        match self.memory.recall(access_key, now)? {
            Recalled::Absent => {
                self.counts.absent_hit();
                Some(Known::Absent)
            }
            Recalled::Present { credential, is_due } => {
                self.counts.hit();
                if is_due {
                    self.refresh(access_key, now);
                }
                Some(Known::Present(credential))
            }
        }
    }

    pub(super) async fn find(
        self: &Arc<Self>,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        if let Some(known) = self.recall(access_key.as_str(), self.clock.now()) {
            return Ok(match known {
                Known::Absent => None,
                Known::Present(credential) => Some(credential),
            });
        }
        self.counts.misses.fetch_add(1, Relaxed);
        if access_key.as_str().len() > MAX_ACCESS_KEY {
            return self.backend.find_by_access_key(access_key).await;
        }
        match self.ask_with_others(access_key).await {
            Some(Ok(Entry::Absent(_))) => Ok(None),
            Some(Ok(Entry::Present(kept))) => Ok(Some(kept.credential)),
            Some(Err(error)) => Err(error::share(&error)),
            None => Err(error::given_up()),
        }
    }

    /// Returns the answer of the call in progress, or of a new one; `None` if the call ended
    /// without a result.
    async fn ask_with_others(self: &Arc<Self>, access_key: &AccessKey) -> Option<Answer> {
        let (answer, is_own) = self.join(access_key).await;
        // The call in progress may have started before a write that was done when this lookup
        // started. The next one cannot: calls for the same key run one after the other.
        let is_stale = |entry| !self.memory.is_servable(entry, self.clock.now());
        if !is_own && matches!(&answer, Some(Ok(entry)) if is_stale(entry)) {
            return self.join(access_key).await.0;
        }
        answer
    }

    async fn join(self: &Arc<Self>, access_key: &AccessKey) -> (Option<Answer>, bool) {
        let key: Box<str> = access_key.as_str().into();
        let mut is_own = false;
        let known = || self.memory.recall_entry(&key, self.clock.now()).map(Ok);
        let joined = self.flights.join(&key, known, || {
            is_own = true;
            Arc::clone(self).ask(access_key.clone())
        });
        (joined.answer().await, is_own)
    }

    async fn ask(self: Arc<Self>, access_key: AccessKey) -> Answer {
        // Created before the call, so that a concurrent write makes the answer stale.
        let asked = self.memory.ask(self.clock.now());
        let asking = self.backend.find_by_access_key(&access_key);
        let found = timeout(LOOKUP_TIMEOUT, asking).await.map_err(|_| error::too_slow())?;
        let found = found.map_err(Arc::new)?;
        let entry = self.memory.entry(&access_key, asked, found);
        self.memory.keep(&access_key, entry.clone());
        Ok(entry)
    }

    /// Calls the backend ahead of time, in the background, so that no request waits for a key
    /// in use.
    fn refresh(self: &Arc<Self>, access_key: &str, now: SystemTime) {
        if Handle::try_current().is_err() || !self.memory.claims_refresh(access_key, now) {
            return;
        }
        let (inner, key) = (Arc::clone(self), access_key.into());
        let access_key = AccessKey::from_stored(access_key);
        let ask = || async move {
            inner.counts.refreshes.fetch_add(1, Relaxed);
            let answer = Arc::clone(&inner).ask(access_key).await;
            if let Err(error) = &answer {
                inner.counts.failed_refreshes.fetch_add(1, Relaxed);
                inner.warn_of(error);
            }
            answer
        };
        let _under_way = self.flights.join(&key, || None, ask);
    }

    fn warn_of(&self, error: &BackendError) {
        let cause = log::cause(error);
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let last = self.warned_at.load(Relaxed);
        let is_time = now.abs_diff(last) >= SECONDS_BETWEEN_WARNINGS
            && self.warned_at.compare_exchange(last, now, Relaxed, Relaxed).is_ok();
        if is_time {
            tracing::warn!(%error, cause, "cached keys in use cannot be refreshed");
        } else {
            tracing::debug!(%error, cause, "a cached key in use cannot be refreshed");
        }
    }
}
