//! Logs that count, fail, hang and panic.

use std::{
    collections::HashMap,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::SystemTime,
};

use tokio::sync::Semaphore;
use tower_credentials::{
    async_trait,
    domain::{Credential, CredentialId},
    usage::{UsageError, UsageLog},
};

/// What the log below does with a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    Fails,
    /// Stores the first reports, this many of them, and then fails.
    FailsAfter(usize),
    Hangs,
    Panics,
    #[default]
    Works,
}

/// Stores uses in memory, and counts calls. A clone is another handle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<State>);

#[derive(Debug)]
struct State {
    mood: Mutex<Mood>,
    calls: AtomicUsize,
    rows: AtomicUsize,
    longest: AtomicUsize,
    under_way: AtomicUsize,
    last_used: Mutex<HashMap<CredentialId, SystemTime>>,
    /// One permit per report; there are enough unless a test removes them.
    gate: Semaphore,
}

impl Default for State {
    fn default() -> Self {
        Self {
            mood: Mutex::default(),
            calls: AtomicUsize::default(),
            rows: AtomicUsize::default(),
            longest: AtomicUsize::default(),
            under_way: AtomicUsize::default(),
            last_used: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS / 2),
        }
    }
}

impl Log {
    pub(crate) fn set(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
    }

    /// The number of reports.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(SeqCst)
    }

    /// The number of reported uses, including repeated ones.
    pub(crate) fn rows(&self) -> usize {
        self.0.rows.load(SeqCst)
    }

    /// The length of the longest report.
    pub(crate) fn longest(&self) -> usize {
        self.0.longest.load(SeqCst)
    }

    /// The number of reports in progress.
    pub(crate) fn under_way(&self) -> usize {
        self.0.under_way.load(SeqCst)
    }

    /// Blocks all reports until `open` is called.
    pub(crate) fn close(&self) {
        self.0.gate.forget_permits(usize::MAX);
    }

    pub(crate) fn open(&self) {
        self.0.gate.add_permits(1_000);
    }

    /// The number of keys in the log.
    pub(crate) fn keys(&self) -> usize {
        self.0.last_used.lock().unwrap().len()
    }

    pub(crate) fn of(&self, key: &Credential) -> Option<SystemTime> {
        self.0.last_used.lock().unwrap().get(&key.id).copied()
    }

    /// The number of other handles of this log.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// Counts a report as in progress until it is dropped.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
impl UsageLog for Log {
    async fn record(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        let state = &*self.0;
        let before = state.calls.fetch_add(1, SeqCst);
        state.rows.fetch_add(uses.len(), SeqCst);
        state.longest.fetch_max(uses.len(), SeqCst);
        state.under_way.fetch_add(1, SeqCst);
        let _under_way = UnderWay(&state.under_way);
        state.gate.acquire().await.unwrap().forget();
        let mood = *state.mood.lock().unwrap();
        match mood {
            Mood::Fails => return Err(UsageError::new("disk on fire")),
            Mood::FailsAfter(reports) if before >= reports => {
                return Err(UsageError::new("disk on fire"));
            }
            Mood::Hangs => pending().await,
            Mood::Panics => panic!("on purpose"),
            Mood::FailsAfter(_) | Mood::Works => {}
        }
        let mut last_used = state.last_used.lock().unwrap();
        for (id, time) in uses {
            let latest = last_used.entry(id.clone()).or_insert(*time);
            *latest = (*latest).max(*time);
        }
        Ok(())
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        let last_used = self.0.last_used.lock().unwrap();
        Ok(ids.iter().filter_map(|id| Some((id.clone(), *last_used.get(id)?))).collect())
    }
}
