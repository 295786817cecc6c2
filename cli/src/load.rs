//! Loading records into a store, and counting the results.

use std::{mem, sync::Arc, time::SystemTime};

use tokio::task::{JoinError, JoinSet};
use tower_credentials::{
    backend::{
        BackendError,
        contract::{BulkLoad, Loaded, MAX_LOAD},
    },
    domain::{AccessKey, Credential, CredentialId},
    usage::{UsageLog, UsageRecorder},
};

use crate::{
    report::{Exit, Failure, MAX_LISTED, Report},
    scan::{Records, unavailable},
    store::retry,
};

/// How many loads run at once: while one is flushed to the disk, the next one is prepared.
const MAX_RUNNING: usize = 2;

/// A load is sent when its records exceed this many bytes.
const MAX_BYTES: usize = 8 << 20;

/// Loads records in batches, and counts the results.
#[derive(Debug)]
pub(crate) struct Loader {
    store: Arc<dyn BulkLoad>,
    usage: Option<Arc<dyn UsageLog>>,
    pending: Vec<Arc<Credential>>,
    /// When the pending records were last used.
    last_used: Vec<(CredentialId, SystemTime)>,
    bytes: usize,
    running: JoinSet<Result<Tally, BackendError>>,
    tally: Tally,
}

/// How many records were stored, skipped and refused.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) stored: u64,
    pub(crate) already_there: u64,
    pub(crate) refused: u64,
    /// At most [`MAX_LISTED`] of the refused ids.
    refused_ids: Vec<String>,
}

impl Loader {
    /// Also records the times of last use if there is a usage log.
    pub(crate) fn new(store: Arc<dyn BulkLoad>, usage: Option<Arc<dyn UsageLog>>) -> Self {
        Self {
            store,
            usage,
            pending: Vec::new(),
            last_used: Vec::new(),
            bytes: 0,
            running: JoinSet::new(),
            tally: Tally::default(),
        }
    }

    /// Adds records; waits while [`MAX_RUNNING`] loads run.
    pub(crate) async fn push(&mut self, mut records: Records) -> Result<(), BackendError> {
        for record in records.records {
            let last_use = records.last_used.remove_entry(&record.id);
            if record.access_key.as_ref().is_some_and(AccessKey::is_of_session) {
                self.tally.refuse(&record);
                continue;
            }
            self.last_used.extend(last_use);
            self.bytes += record.size();
            self.pending.push(record);
            if self.pending.len() == MAX_LOAD || self.bytes >= MAX_BYTES {
                self.send().await?;
            }
        }
        while let Some(finished) = self.running.try_join_next() {
            self.count(finished)?;
        }
        if self.running.is_empty() && !self.pending.is_empty() {
            // The store is idle.
            self.send().await?;
        }
        Ok(())
    }

    /// Loads the pending records, and waits for all loads.
    pub(crate) async fn finish(&mut self) -> Result<(), BackendError> {
        self.send().await?;
        while self.wait_for_one().await? {}
        Ok(())
    }

    /// The results of the finished loads.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    async fn send(&mut self) -> Result<(), BackendError> {
        let (records, last_used) = (mem::take(&mut self.pending), mem::take(&mut self.last_used));
        let (store, usage) = (Arc::clone(&self.store), self.usage.clone());
        self.bytes = 0;
        if self.running.len() == MAX_RUNNING {
            self.wait_for_one().await?;
        }
        self.running.spawn(async move {
            // A retried load reports the records that it stored before as already there.
            let outcomes = retry(|| store.load(&records)).await?;
            if let Some(usage) = usage {
                // After the load: a usage log ignores records that do not exist.
                for uses in last_used.chunks(UsageRecorder::BATCH) {
                    retry(|| async { usage.record(uses).await.map_err(unavailable) }).await?;
                }
            }
            Ok(Tally::of(&records, &outcomes))
        });
        Ok(())
    }

    /// Waits until one load is finished; `false` if none is running.
    async fn wait_for_one(&mut self) -> Result<bool, BackendError> {
        let Some(finished) = self.running.join_next().await else { return Ok(false) };
        self.count(finished)?;
        Ok(true)
    }

    fn count(
        &mut self,
        finished: Result<Result<Tally, BackendError>, JoinError>,
    ) -> Result<(), BackendError> {
        self.tally.add(finished.map_err(|error| BackendError::Unavailable(error.into()))??);
        Ok(())
    }
}

impl Tally {
    fn of(records: &[Arc<Credential>], outcomes: &[Loaded]) -> Self {
        let mut tally = Self::default();
        for (record, outcome) in records.iter().zip(outcomes) {
            match outcome {
                Loaded::AlreadyThere => tally.already_there += 1,
                Loaded::Refused => tally.refuse(record),
                Loaded::Stored => tally.stored += 1,
            }
        }
        tally
    }

    fn refuse(&mut self, record: &Credential) {
        self.refused += 1;
        if self.refused_ids.len() < MAX_LISTED {
            self.refused_ids.push(record.id.as_str().to_owned());
        }
    }

    fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.already_there += other.already_there;
        self.refused += other.refused;
        self.refused_ids.extend(other.refused_ids);
        self.refused_ids.truncate(MAX_LISTED);
    }

    /// The number of all records.
    pub(crate) fn records(&self) -> u64 {
        self.stored + self.already_there + self.refused
    }

    /// Adds the numbers to a report. Refused records are a failure.
    pub(crate) fn add_to(&self, report: Report) -> Report {
        let Self { stored, already_there, refused, refused_ids } = self;
        let failure = (*refused > 0).then(|| {
            let message = format!(
                "{refused} records were not stored: another record has their id, access key or \
                slot, or they are too long for the store, or their access key begins with ASIA, \
                as those of sessions do"
            );
            Failure::new(Exit::Conflict, message)
        });
        report
            .with("records", self.records())
            .with("stored", *stored)
            .with("already_there", *already_there)
            .with("refused", *refused)
            .with("refused_ids", refused_ids.clone())
            .failing(failure)
    }
}
