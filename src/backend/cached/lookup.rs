//! Lookups: from memory, or from the backend with one question for all who wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{runtime::Handle, time::timeout};

use super::error;
use super::memory::{Heard, Memory, Recalled, Settings};
use super::stats::Counts;
use crate::backend::{BackendError, CredentialBackend, Known};
use crate::clock::Clock;
use crate::domain::{AccessKey, Credential};
use crate::flight::Flights;
use crate::log;

/// Longer access keys are not remembered: none that long was created here, and
/// strangers shall not fill the memory with them.
const MAX_ACCESS_KEY: usize = 256;

/// A question that takes longer has failed: all who ask for the key wait for it.
const LONGEST_QUESTION: Duration = Duration::from_secs(10);

/// An outage is told once in this many seconds, not for every key in use.
const SECONDS_BETWEEN_WARNINGS: u64 = 10;

type Answer = Result<Heard, Arc<BackendError>>;

/// What all handles to one cache share.
pub(super) struct Inner<B> {
    pub(super) backend: B,
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) memory: Memory,
    flights: Arc<Flights<Box<str>, Answer>>,
    pub(super) counts: Counts,
    /// When an outage was told of last, in seconds since 1970.
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
    /// What memory has; may have the backend asked for it anew, and does not wait
    /// for that.
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
            Some(Ok(Heard::Absent(_))) => Ok(None),
            Some(Ok(Heard::Present(kept))) => Ok(Some(kept.credential)),
            Some(Err(error)) => Err(error::share(&error)),
            None => Err(error::given_up()),
        }
    }

    /// The answer to the question that is under way, or to one of our own; `None` if
    /// it was given up.
    async fn ask_with_others(self: &Arc<Self>, access_key: &AccessKey) -> Option<Answer> {
        let (answer, is_own) = self.join(access_key).await;
        // A question that was under way may have been asked before a write that was
        // done when this lookup began. The next one cannot: the questions about one
        // key follow one another.
        let is_stale = |heard| !self.memory.is_servable(heard, self.clock.now());
        if !is_own && matches!(&answer, Some(Ok(heard)) if is_stale(heard)) {
            return self.join(access_key).await.0;
        }
        answer
    }

    async fn join(self: &Arc<Self>, access_key: &AccessKey) -> (Option<Answer>, bool) {
        let key: Box<str> = access_key.as_str().into();
        let mut is_own = false;
        let known = || self.memory.recall_heard(&key, self.clock.now()).map(Ok);
        let joined = self.flights.join(&key, known, || {
            is_own = true;
            Arc::clone(self).ask(access_key.clone())
        });
        (joined.answer().await, is_own)
    }

    async fn ask(self: Arc<Self>, access_key: AccessKey) -> Answer {
        // Taken before the question, so that a write meanwhile makes the answer stale.
        let asked = self.memory.ask(self.clock.now());
        let asking = self.backend.find_by_access_key(&access_key);
        let found = timeout(LONGEST_QUESTION, asking).await.map_err(|_| error::too_slow())?;
        let found = found.map_err(Arc::new)?;
        let heard = self.memory.heard(&access_key, asked, found);
        self.memory.keep(&access_key, heard.clone());
        Ok(heard)
    }

    /// Asks ahead of time, in the background, so that nobody waits for a key in use.
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
                inner.tell_of(error);
            }
            answer
        };
        let _under_way = self.flights.join(&key, || None, ask);
    }

    fn tell_of(&self, error: &BackendError) {
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
