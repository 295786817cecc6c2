//! All records of a store in an order, page by page, around those that cannot be read.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use tokio::{sync::mpsc, task::JoinHandle};
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, Damaged, ListQuery, ListStep, Order, list_skipping_damaged,
    },
    domain::{Credential, CredentialId},
    usage::{UsageError, UsageLog},
};

use crate::{
    outcome::{Exit, Failure, Outcome, told},
    patience::patiently,
};

/// How many pages are read ahead.
const AHEAD: usize = 16;

/// What a walk meets, in its order.
#[derive(Debug)]
pub(crate) enum Met {
    /// A record that cannot be read.
    Damaged(Damaged),
    /// Records that follow each other.
    Records(Records),
}

/// Records, and when they were last used, as far as that is asked for and known.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) records: Vec<Arc<Credential>>,
    pub(crate) uses: HashMap<CredentialId, SystemTime>,
}

/// A walk through all records of a store.
///
/// What is written while it goes on is met or not; what stays is met once.
#[derive(Debug)]
pub(crate) struct Walk {
    backend: Arc<dyn CredentialBackend>,
    order: Order,
    /// Behind which marker the next page starts; `None` at the end.
    after: Option<String>,
    /// Asked for uses.
    usage: Option<Arc<dyn UsageLog>>,
}

impl Walk {
    pub(crate) fn new(backend: Arc<dyn CredentialBackend>, order: Order) -> Self {
        Self { backend, order, after: Some(String::new()), usage: None }
    }

    /// Tells when records were last used, too.
    pub(crate) fn with_uses(mut self, usage: Option<Arc<dyn UsageLog>>) -> Self {
        self.usage = usage;
        self
    }

    /// Walks on another task, some pages ahead.
    pub(crate) fn ahead(self) -> Ahead {
        let (pages, met) = mpsc::channel(AHEAD);
        let mut walk = self;
        let walking = tokio::spawn(async move {
            while let Some(met) = walk.next().await.transpose() {
                let is_over = met.is_err();
                if pages.send(met).await.is_err() || is_over {
                    return;
                }
            }
        });
        Ahead { met, walking: Some(walking) }
    }

    /// What comes next; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Met>, BackendError> {
        while let Some(after) = self.after.clone() {
            let mut query = ListQuery::new(self.order);
            query.after = Some(after);
            match patiently(|| list_skipping_damaged(&self.backend, &query)).await? {
                ListStep::Damaged(mut damaged) => {
                    self.after = damaged.next.take();
                    return Ok(Some(Met::Damaged(damaged)));
                }
                ListStep::Records(page) => {
                    self.after = page.next;
                    if !page.credentials.is_empty() {
                        return self.with_their_uses(page.credentials).await.map(Some);
                    }
                }
            }
        }
        Ok(None)
    }

    async fn with_their_uses(&self, records: Vec<Arc<Credential>>) -> Result<Met, BackendError> {
        let mut uses = HashMap::new();
        if let Some(usage) = &self.usage {
            let ids: Vec<_> = records.iter().map(|record| record.id.clone()).collect();
            let asked = patiently(|| async { usage.last_used(&ids).await.map_err(unavailable) });
            uses = asked.await?;
        }
        Ok(Met::Records(Records { records, uses }))
    }
}

/// Whatever is wrong with a log of uses may pass.
pub(crate) fn unavailable(error: UsageError) -> BackendError {
    BackendError::Unavailable(error.into())
}

/// A walk on another task. Dropping it ends the walk.
#[derive(Debug)]
pub(crate) struct Ahead {
    met: mpsc::Receiver<Result<Met, BackendError>>,
    walking: Option<JoinHandle<()>>,
}

impl Ahead {
    /// What comes next; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Met>, BackendError> {
        if let Some(met) = self.met.recv().await {
            return met.map(Some);
        }
        // An end that is none, where the walk panicked.
        if let Some(walking) = self.walking.take() {
            walking.await.map_err(|error| BackendError::Unavailable(error.into()))?;
        }
        Ok(None)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(walking) = &self.walking {
            walking.abort();
        }
    }
}

/// The records that a walk could not read.
#[derive(Debug, Default)]
pub(crate) struct Damages(Vec<Damaged>);

impl Damages {
    /// How many are told one by one.
    const TOLD: usize = 100;

    pub(crate) fn add(&mut self, damaged: Damaged) {
        self.0.push(damaged);
    }

    pub(crate) fn contains(&self, marker: &str) -> bool {
        self.0.iter().any(|damaged| damaged.marker == marker)
    }

    /// Tells them; they are a failure.
    pub(crate) fn tell(&self, outcome: Outcome) -> Outcome {
        let count = self.0.len();
        let failure = (count > 0)
            .then(|| Failure::new(Exit::Problem, format!("{count} records cannot be read")));
        let line = |damaged: &Damaged| format!("{}: {}", damaged.marker, told(&damaged.error));
        let lines: Vec<_> = self.0.iter().take(Self::TOLD).map(line).collect();
        outcome.with("damaged", count).with("damaged_records", lines).failing(failure)
    }
}
