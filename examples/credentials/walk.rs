//! All records of a store in an order, page by page, around those that cannot be read.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use tokio::{sync::mpsc, task::JoinHandle};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order},
    domain::{Credential, CredentialId},
    usage::{UsageError, UsageLog},
};

use crate::{
    outcome::{Exit, Failure, Outcome, told},
    patience::patiently,
};

/// How many pages are read ahead.
const AHEAD: usize = 16;

/// No marker is longer, in characters; a search that gets here is one for nothing.
const LONGEST: usize = 4_096;

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

/// A record that cannot be read: its marker, and why.
#[derive(Debug)]
pub(crate) struct Damaged {
    pub(crate) marker: String,
    pub(crate) error: BackendError,
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
    pub(crate) fn new(backend: &Arc<dyn CredentialBackend>, order: Order) -> Self {
        Self { backend: Arc::clone(backend), order, after: Some(String::new()), usage: None }
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
            match self.page(&after, None, ListQuery::MAX_LIMIT).await {
                Ok((records, next)) => {
                    self.after = next;
                    if !records.is_empty() {
                        return self.with_their_uses(records).await.map(Some);
                    }
                }
                Err(BackendError::Corrupt(_)) => {
                    if let Some(met) = self.around(&after).await? {
                        return Ok(Some(met));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// What comes next where a page cannot be read whole: the records before the one
    /// that cannot, or that one. `None` if the trouble is gone.
    async fn around(&mut self, after: &str) -> Result<Option<Met>, BackendError> {
        // The longest page that can be read.
        let (mut fine, mut bad) = (0, ListQuery::MAX_LIMIT);
        while bad - fine > 1 {
            let limit = usize::midpoint(fine, bad);
            if self.is_damaged(after, None, limit).await? { bad = limit } else { fine = limit }
        }
        if fine > 0 {
            return self.records(after, None, fine).await;
        }
        let Some(marker) = self.find_damaged(after).await? else { return Ok(None) };
        // A store may look further than the page is long.
        let before = self.records(after, Some(&marker), ListQuery::MAX_LIMIT).await?;
        if before.is_some() {
            return Ok(before);
        }
        let Err(error) = self.page(after, None, 1).await else { return Ok(None) };
        self.after = Some(marker.clone());
        Ok(Some(Met::Damaged(Damaged { marker, error })))
    }

    /// The records of this page, and on behind the last of them.
    async fn records(
        &mut self,
        after: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Option<Met>, BackendError> {
        let (records, _) = self.page(after, before, limit).await?;
        let last = records.last().and_then(|last| self.order.marker(last));
        let Some(last) = last else { return Ok(None) };
        self.after = Some(last.to_owned());
        self.with_their_uses(records).await.map(Some)
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

    /// The marker of the first record behind this one, which cannot be read, by asking for
    /// what lies before this text and that: only a page that the record is in fails.
    ///
    /// Some hundred questions, but it needs nothing that a store does not promise.
    async fn find_damaged(&self, after: &str) -> Result<Option<String>, BackendError> {
        const LEAST: u32 = 1;
        let mut marker = String::new();
        for _ in 0..LONGEST {
            // Whether the marker ends here: nothing lies between a text and this one.
            if self.is_damaged(after, Some(&format!("{marker}\u{1}")), 1).await? {
                if marker.is_empty() {
                    // Not even a page of nothing can be read.
                    return Err(BackendError::Corrupt("no record can be read".into()));
                }
                return Ok(Some(marker));
            }
            // The greatest character with which the marker does not lie beyond it.
            let (mut fine, mut bad) = (LEAST, u32::from(char::MAX) + 1);
            let mut probe = 0x80;
            while bad - fine > 1 {
                // There are no characters where the surrogates are.
                let next = char::from_u32(probe).unwrap_or('\u{e000}');
                let beyond = self.is_damaged(after, Some(&format!("{marker}{next}")), 1).await?;
                if beyond {
                    bad = probe;
                } else {
                    fine = u32::from(next);
                }
                probe = u32::midpoint(fine, bad);
            }
            let Some(next) = char::from_u32(fine).filter(|next| *next != char::MAX) else {
                break;
            };
            marker.push(next);
        }
        // Mended or deleted meanwhile, unless it is no text.
        if self.is_damaged(after, None, 1).await? {
            return Err(BackendError::Corrupt("a record's marker cannot be read".into()));
        }
        Ok(None)
    }

    async fn is_damaged(
        &self,
        after: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<bool, BackendError> {
        match self.page(after, before, limit).await {
            Ok(_) => Ok(false),
            Err(BackendError::Corrupt(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn page(
        &self,
        after: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Arc<Credential>>, Option<String>), BackendError> {
        let mut query = ListQuery::new(self.order).with_limit(limit);
        query.after = Some(after.to_owned());
        query.before = before.map(Into::into);
        let page = patiently(|| self.backend.list(&query)).await?;
        Ok((page.credentials, page.next))
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
