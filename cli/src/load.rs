//! Records on their way into a store.

use std::{mem, sync::Arc, time::SystemTime};

use tokio::task::{JoinError, JoinSet};
use tower_credentials::{
    backend::{BackendError, BulkLoad, Loaded, MAX_LOAD},
    domain::{Credential, CredentialId},
    usage::{UsageLog, UsageRecorder},
};

use crate::{
    outcome::{Exit, Failure, Outcome},
    patience::patiently,
    walk::{Records, unavailable},
};

/// How many loads are under way at once: while one is on its way to the disk, the next
/// is made ready.
const AT_ONCE: usize = 2;

/// How many bytes of records make a load at the most, beside its last record.
const MAX_BYTES: usize = 8 << 20;

/// How many refused records are told by their ids.
const TOLD: usize = 100;

/// Loads records as they come, and counts what becomes of them.
#[derive(Debug)]
pub(crate) struct Loader {
    store: Arc<dyn BulkLoad>,
    usage: Option<Arc<dyn UsageLog>>,
    waiting: Vec<Arc<Credential>>,
    /// When those that wait were last used.
    uses: Vec<(CredentialId, SystemTime)>,
    bytes: usize,
    running: JoinSet<Result<Tally, BackendError>>,
    tally: Tally,
}

/// What became of records.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) stored: u64,
    pub(crate) already_there: u64,
    pub(crate) refused: u64,
    /// The ids of some that were refused.
    refused_ids: Vec<String>,
}

impl Loader {
    /// Notes uses too, if there is a log of them.
    pub(crate) fn new(store: Arc<dyn BulkLoad>, usage: Option<Arc<dyn UsageLog>>) -> Self {
        Self {
            store,
            usage,
            waiting: Vec::new(),
            uses: Vec::new(),
            bytes: 0,
            running: JoinSet::new(),
            tally: Tally::default(),
        }
    }

    /// Takes records; waits while enough of them are on their way.
    pub(crate) async fn push(&mut self, mut records: Records) -> Result<(), BackendError> {
        for record in records.records {
            self.uses.extend(records.uses.remove_entry(&record.id));
            self.bytes += record.size();
            self.waiting.push(record);
            if self.waiting.len() == MAX_LOAD || self.bytes >= MAX_BYTES {
                self.send().await?;
            }
        }
        while let Some(over) = self.running.try_join_next() {
            self.count(over)?;
        }
        if self.running.is_empty() && !self.waiting.is_empty() {
            // Whoever stores them has nothing else to do.
            self.send().await?;
        }
        Ok(())
    }

    /// Loads what waits, and waits until all is stored.
    pub(crate) async fn finish(&mut self) -> Result<(), BackendError> {
        self.send().await?;
        while self.await_one().await? {}
        Ok(())
    }

    /// What became of the records whose loads are over.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    async fn send(&mut self) -> Result<(), BackendError> {
        let (records, uses) = (mem::take(&mut self.waiting), mem::take(&mut self.uses));
        let (store, usage) = (Arc::clone(&self.store), self.usage.clone());
        self.bytes = 0;
        if self.running.len() == AT_ONCE {
            self.await_one().await?;
        }
        self.running.spawn(async move {
            // A load that is made again finds what it stored before there already.
            let outcomes = patiently(|| store.load(&records)).await?;
            if let Some(usage) = usage {
                // Of keys that are there: of others no use is kept.
                for uses in uses.chunks(UsageRecorder::BATCH) {
                    patiently(|| async { usage.note(uses).await.map_err(unavailable) }).await?;
                }
            }
            Ok(Tally::of(&records, &outcomes))
        });
        Ok(())
    }

    /// Waits for one load to be over; `false` if none is under way.
    async fn await_one(&mut self) -> Result<bool, BackendError> {
        let Some(over) = self.running.join_next().await else { return Ok(false) };
        self.count(over)?;
        Ok(true)
    }

    fn count(
        &mut self,
        over: Result<Result<Tally, BackendError>, JoinError>,
    ) -> Result<(), BackendError> {
        self.tally.add(over.map_err(|error| BackendError::Unavailable(error.into()))??);
        Ok(())
    }
}

impl Tally {
    fn of(records: &[Arc<Credential>], outcomes: &[Loaded]) -> Self {
        let mut tally = Self::default();
        for (record, outcome) in records.iter().zip(outcomes) {
            match outcome {
                Loaded::AlreadyThere => tally.already_there += 1,
                Loaded::Refused => {
                    tally.refused += 1;
                    tally.refused_ids.push(record.id.as_str().to_owned());
                }
                Loaded::Stored => tally.stored += 1,
            }
        }
        tally
    }

    fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.already_there += other.already_there;
        self.refused += other.refused;
        self.refused_ids.extend(other.refused_ids);
        self.refused_ids.truncate(TOLD);
    }

    /// How many it counts.
    pub(crate) fn records(&self) -> u64 {
        self.stored + self.already_there + self.refused
    }

    /// Tells it; records that were refused are a failure.
    pub(crate) fn tell(&self, outcome: Outcome) -> Outcome {
        let Self { stored, already_there, refused, refused_ids } = self;
        let failure = (*refused > 0).then(|| {
            let what = format!(
                "{refused} records are not stored: others hold their names, or they are too \
                long for the store"
            );
            Failure::new(Exit::Conflict, what)
        });
        outcome
            .with("records", self.records())
            .with("stored", *stored)
            .with("already_there", *already_there)
            .with("refused", *refused)
            .with("refused_ids", refused_ids.clone())
            .failing(failure)
    }
}
