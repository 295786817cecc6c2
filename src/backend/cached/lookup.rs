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
use super::name::Name;
use super::stats::Counts;
use crate::backend::{BackendError, CredentialBackend, Known};
use crate::clock::Clock;
use crate::domain::{AccessKey, Credential, CredentialId};
use crate::flight::Flights;
use crate::log;

/// Longer access keys and ids are not cached: this crate creates none that long, and
/// unauthenticated clients must not fill the memory with them.
const MAX_NAME: usize = 256;

/// The timeout of a call of the backend, for which all lookups of the key wait.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// At most one warning about an outage in this many seconds, not one for every key in use.
const SECONDS_BETWEEN_WARNINGS: u64 = 10;

type Answer = Result<Entry, Arc<BackendError>>;

/// What a call asks for.
#[derive(Clone, Debug)]
enum Sought {
    AccessKey(AccessKey),
    Id(CredentialId),
}

impl Sought {
    fn name(&self) -> Name {
        match self {
            Self::AccessKey(access_key) => Name::new(access_key.as_str()),
            Self::Id(id) => Name::of_id(id.as_str()),
        }
    }
}

/// The state that all handles to one cache share.
pub(super) struct Inner<B> {
    pub(super) backend: B,
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) memory: Memory,
    flights: Arc<Flights<Name, Answer>>,
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
        if access_key.len() > MAX_NAME {
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
        if access_key.as_str().len() > MAX_NAME {
            return self.backend.find_by_access_key(access_key).await;
        }
        found(self.ask_with_others(&Sought::AccessKey(access_key.clone())).await)
    }

    pub(super) async fn get(
        self: &Arc<Self>,
        id: &CredentialId,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        if let Some(credential) = self.recall_by_id(id, self.clock.now()) {
            return Ok(Some(credential));
        }
        self.counts.misses.fetch_add(1, Relaxed);
        if id.as_str().len() > MAX_NAME {
            return self.backend.get(id).await;
        }
        found(self.ask_with_others(&Sought::Id(id.clone())).await)
    }

    fn recall_by_id(
        self: &Arc<Self>,
        id: &CredentialId,
        now: SystemTime,
    ) -> Option<Arc<Credential>> {
        if id.as_str().len() > MAX_NAME {
            return None;
        }
        let Recalled::Present { credential, is_due } = self.memory.recall_by_id(id, now)? else {
            return None;
        };
        self.counts.hit();
        if is_due && let Some(access_key) = &credential.access_key {
            self.refresh(access_key.as_str(), now);
        }
        Some(credential)
    }

    /// Returns the answer of the call in progress, or of a new one; `None` if the call ended
    /// without a result.
    async fn ask_with_others(self: &Arc<Self>, sought: &Sought) -> Option<Answer> {
        let (answer, is_own) = self.join(sought).await;
        // The call in progress may have started before a write that was done when this lookup
        // started. The next one cannot: calls for the same key run one after the other.
        let is_stale = |entry| !self.memory.is_servable(entry, self.clock.now());
        if !is_own && matches!(&answer, Some(Ok(entry)) if is_stale(entry)) {
            return self.join(sought).await.0;
        }
        answer
    }

    async fn join(self: &Arc<Self>, sought: &Sought) -> (Option<Answer>, bool) {
        let mut is_own = false;
        let known = || {
            let now = self.clock.now();
            let entry = match sought {
                Sought::AccessKey(key) => self.memory.recall_entry(key.as_str(), now),
                Sought::Id(id) => self.memory.recall_entry_by_id(id, now),
            };
            entry.map(Ok)
        };
        let joined = self.flights.join(&sought.name(), known, || {
            is_own = true;
            Arc::clone(self).ask(sought.clone())
        });
        (joined.answer().await, is_own)
    }

    async fn ask(self: Arc<Self>, sought: Sought) -> Answer {
        // Created before the call, so that a concurrent write makes the answer stale.
        let asked = self.memory.ask(self.clock.now());
        let asking = match &sought {
            Sought::AccessKey(access_key) => self.backend.find_by_access_key(access_key),
            Sought::Id(id) => self.backend.get(id),
        };
        let found = timeout(LOOKUP_TIMEOUT, asking).await.map_err(|_| error::too_slow())?;
        let found = found.map_err(Arc::new)?;
        let (memory, writes) = (&self.memory, &self.memory.writes);
        let entry = match &sought {
            Sought::AccessKey(access_key) => {
                let entry = memory.entry(writes.access_key(access_key), asked, found);
                memory.keep(access_key, entry.clone(), self.clock.now());
                entry
            }
            Sought::Id(id) => {
                let access_key = found.as_ref().and_then(|found| found.access_key.as_ref());
                let is_overlong = access_key.is_some_and(|key| key.as_str().len() > MAX_NAME);
                let key = access_key.map_or_else(|| writes.record(id), |it| writes.access_key(it));
                let entry = memory.entry(key, asked, found);
                if !is_overlong {
                    memory.keep_by_id(id, entry.clone(), self.clock.now());
                }
                entry
            }
        };
        Ok(entry)
    }

    /// Calls the backend ahead of time, in the background, so that no request waits for a key
    /// in use.
    fn refresh(self: &Arc<Self>, access_key: &str, now: SystemTime) {
        if Handle::try_current().is_err() || !self.memory.claims_refresh(access_key, now) {
            return;
        }
        let (inner, key) = (Arc::clone(self), Name::new(access_key));
        let sought = Sought::AccessKey(AccessKey::from_stored(access_key));
        let ask = || async move {
            inner.counts.refreshes.fetch_add(1, Relaxed);
            let answer = Arc::clone(&inner).ask(sought).await;
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

/// Returns the record in a call's answer.
fn found(answer: Option<Answer>) -> Result<Option<Arc<Credential>>, BackendError> {
    match answer {
        Some(Ok(Entry::Absent(_))) => Ok(None),
        Some(Ok(Entry::Present(kept))) => Ok(Some(kept.credential)),
        Some(Err(error)) => Err(error::share(&error)),
        None => Err(error::given_up()),
    }
}
