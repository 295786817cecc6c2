//! Reading all records of a store, page by page. Damaged records do not stop a scan.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use tokio::{sync::mpsc, task::JoinHandle};
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, Order,
        contract::{Damaged, ListStep, list_skipping_damaged},
    },
    domain::{Credential, CredentialId},
    usage::{UsageError, UsageLog},
};

use crate::{
    report::{Exit, Failure, MAX_LISTED, Report, with_causes},
    store::retry,
};

/// How many pages are read ahead.
const READ_AHEAD: usize = 16;

/// A step of a scan.
#[derive(Debug)]
pub(crate) enum Scanned {
    /// A record that cannot be read.
    Damaged(Damaged),
    /// Consecutive records.
    Records(Records),
}

/// Records, and when each was last used. The latter is empty unless it was requested.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) records: Vec<Arc<Credential>>,
    pub(crate) last_used: HashMap<CredentialId, SystemTime>,
}

/// A scan of the records of a store.
///
/// Returns each record once. A record that is written during the scan may be missing.
#[derive(Debug)]
pub(crate) struct Scan {
    backend: Arc<dyn CredentialBackend>,
    query: ListQuery,
    /// The marker of the next page; `None` at the end.
    after: Option<String>,
    /// Requested for the times of last use.
    usage: Option<Arc<dyn UsageLog>>,
}

impl Scan {
    pub(crate) fn new(backend: Arc<dyn CredentialBackend>, order: Order) -> Self {
        Self::of(backend, ListQuery::new(order))
    }

    /// A scan of the records that pass a query.
    pub(crate) fn of(backend: Arc<dyn CredentialBackend>, query: ListQuery) -> Self {
        Self { backend, query, after: Some(String::new()), usage: None }
    }

    /// Also returns when records were last used.
    pub(crate) fn with_last_used(mut self, usage: Option<Arc<dyn UsageLog>>) -> Self {
        self.usage = usage;
        self
    }

    /// Scans on another task, some pages ahead.
    pub(crate) fn read_ahead(mut self) -> ReadAhead {
        let (sender, steps) = mpsc::channel(READ_AHEAD);
        let task = tokio::spawn(async move {
            while let Some(step) = self.next().await.transpose() {
                let is_last = step.is_err();
                if sender.send(step).await.is_err() || is_last {
                    return;
                }
            }
        });
        ReadAhead { steps, task: Some(task) }
    }

    /// Returns the next step; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Scanned>, BackendError> {
        while let Some(after) = self.after.clone() {
            let mut query = self.query.clone();
            query.after = Some(after);
            match retry(|| list_skipping_damaged(&self.backend, &query)).await? {
                ListStep::Damaged(mut damaged) => {
                    self.after = damaged.next.take();
                    return Ok(Some(Scanned::Damaged(damaged)));
                }
                ListStep::Records(page) => {
                    self.after = page.next;
                    if !page.credentials.is_empty() {
                        return self.look_up_last_used(page.credentials).await.map(Some);
                    }
                }
            }
        }
        Ok(None)
    }

    async fn look_up_last_used(
        &self,
        records: Vec<Arc<Credential>>,
    ) -> Result<Scanned, BackendError> {
        let mut last_used = HashMap::new();
        if let Some(usage) = &self.usage {
            let ids: Vec<_> = records.iter().map(|record| record.id.clone()).collect();
            let lookup = retry(|| async { usage.last_used(&ids).await.map_err(unavailable) });
            last_used = lookup.await?;
        }
        Ok(Scanned::Records(Records { records, last_used }))
    }
}

/// Any error of a usage log may be temporary.
pub(crate) fn unavailable(error: UsageError) -> BackendError {
    BackendError::Unavailable(error.into())
}

/// A scan on another task. Dropping it stops the scan.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    steps: mpsc::Receiver<Result<Scanned, BackendError>>,
    task: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Returns the next step; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Scanned>, BackendError> {
        if let Some(step) = self.steps.recv().await {
            return step.map(Some);
        }
        // The channel also closes if the task panicked.
        if let Some(task) = self.task.take() {
            task.await.map_err(|error| BackendError::Unavailable(error.into()))?;
        }
        Ok(None)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The records that a scan could not read.
#[derive(Debug, Default)]
pub(crate) struct DamagedRecords(Vec<Damaged>);

impl DamagedRecords {
    pub(crate) fn add(&mut self, damaged: Damaged) {
        self.0.push(damaged);
    }

    /// Adds the records to a report, as a failure.
    pub(crate) fn add_to(&self, report: Report) -> Report {
        let count = self.0.len();
        let failure = (count > 0)
            .then(|| Failure::new(Exit::Problem, format!("{count} records cannot be read")));
        let line = |damaged: &Damaged| {
            let name = damaged.id.as_ref().map_or(&*damaged.marker, CredentialId::as_str);
            format!("{name}: {}", with_causes(&damaged.error))
        };
        let lines: Vec<_> = self.0.iter().take(MAX_LISTED).map(line).collect();
        report.with("damaged", count).with("damaged_records", lines).failing(failure)
    }
}
