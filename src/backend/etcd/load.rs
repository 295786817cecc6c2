//! Bulk loads: several records in one transaction, and many transactions at a time.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::backend::{BackendError, contract::Loaded};
use crate::domain::{Credential, UserId};

use super::counters::CounterUpdate;
use super::error::{EtcdError, EtcdErrorKind};
use super::feed;
use super::record::{self, Draft, MAX_ATTEMPTS, TxnBudget, backoff};
use super::store::Store;
use super::wire::{KeyValue, RangeAnswer, Txn};

/// How many transactions run at once.
const MAX_TASKS: usize = 32;

/// How many records a task gets, unless one user has more.
const TASK_SIZE: usize = 20;

/// A record and its index in the load.
type Indexed = (usize, Draft);

/// Loads records.
pub(super) async fn load(
    store: &Arc<Store>,
    records: &[Arc<Credential>],
) -> Result<Vec<Loaded>, BackendError> {
    let mut users: BTreeMap<UserId, Vec<Indexed>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        // A record that does not fit a transaction stays refused.
        let Ok(draft) = Draft::new(&store.keys, record) else { continue };
        users.entry(record.user_id.clone()).or_default().push((place, draft));
    }
    // A user's records stay in one task, because concurrent transactions would conflict.
    let (mut tasks, permits) = (JoinSet::new(), Arc::new(Semaphore::new(MAX_TASKS)));
    let mut together = Vec::new();
    let mut users = users.into_values().peekable();
    while let Some(of_user) = users.next() {
        together.extend(of_user);
        if together.len() < TASK_SIZE && users.peek().is_some() {
            continue;
        }
        let (together, permits) = (std::mem::take(&mut together), Arc::clone(&permits));
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            load_in_order(&store, together).await
        });
    }
    let mut loaded = vec![Loaded::Refused; records.len()];
    while let Some(task) = tasks.join_next().await {
        let task = task.map_err(|_| EtcdError::unexpected("a load was aborted"))?;
        for (place, outcome) in task? {
            loaded[place] = outcome;
        }
    }
    Ok(loaded)
}

/// Loads records in transactions that are as large as possible.
async fn load_in_order(
    store: &Store,
    drafts: Vec<Indexed>,
) -> Result<Vec<(usize, Loaded)>, BackendError> {
    let mut loaded = Vec::with_capacity(drafts.len());
    let mut batch = Batch::default();
    for placed in drafts {
        if !batch.budget.fits(&placed.1) {
            loaded.extend(std::mem::take(&mut batch).store(store).await?);
        }
        batch.add(placed);
    }
    loaded.extend(batch.store(store).await?);
    Ok(loaded)
}

/// Records for one transaction.
#[derive(Default)]
struct Batch {
    drafts: Vec<Indexed>,
    budget: TxnBudget,
}

impl Batch {
    fn add(&mut self, placed: Indexed) {
        self.budget.add(&placed.1);
        self.drafts.push(placed);
    }

    /// Stores the records that are not in conflict with stored ones.
    async fn store(self, store: &Store) -> Result<Vec<(usize, Loaded)>, BackendError> {
        let mut loaded = Vec::with_capacity(self.drafts.len());
        store.size_limit.check(&store.client, self.budget.bytes()).await?;
        let (mut left, mut is_outcome_unknown, mut at_once) = (self.drafts, false, usize::MAX);
        let mut attempt = 0;
        while !left.is_empty() {
            if attempt == MAX_ATTEMPTS {
                return Err(EtcdError::contended().into());
            }
            backoff(attempt).await;
            let some = at_once.min(left.len());
            let (mut counters, txn) = transaction(store, &left[..some]).await;
            let sent = match store.client.txn(&txn).await {
                // The stored records may be long, or etcd's limit lower than the default.
                Err(error) if error.is(EtcdErrorKind::TooLarge) => {
                    if some == 1 {
                        loaded
                            .extend(left.drain(..some).map(|(place, _)| (place, Loaded::Refused)));
                    }
                    at_once = (some / 2).max(1);
                    continue;
                }
                sent => sent?,
            };
            if sent.answer.succeeded {
                counters.committed(sent.answer.header.revision);
                loaded.extend(left.drain(..some).map(|(place, _)| (place, Loaded::Stored)));
                attempt = 0;
                continue;
            }
            attempt += 1;
            is_outcome_unknown |= sent.is_outcome_unknown;
            let mut ranges = sent.answer.ranges();
            let rest = left.split_off(some);
            let mut again = Vec::new();
            for (place, draft) in left {
                match outcome(&draft, &mut ranges) {
                    Some(Loaded::AlreadyThere) if is_outcome_unknown => {
                        loaded.push((place, Loaded::Stored));
                    }
                    Some(outcome) => loaded.push((place, outcome)),
                    None => again.push((place, draft)),
                }
            }
            let has_moved = counters.refresh(ranges)?;
            if is_outcome_unknown && has_moved && !again.is_empty() {
                // They may have been stored and deleted since.
                return Err(EtcdError::outcome_unknown().into());
            }
            again.extend(rest);
            left = again;
        }
        Ok(loaded)
    }
}

/// Builds a transaction that stores all of these records or none.
async fn transaction(store: &Store, drafts: &[Indexed]) -> (CounterUpdate, Txn) {
    let (mut changes, mut txn) = (BTreeMap::new(), Txn::default());
    for (_, draft) in drafts {
        *changes.entry(draft.credential.user_id.clone()).or_default() += 1;
        draft.add_to(&mut txn);
    }
    // Unknown counters are taken for new, which is right when an empty store is filled.
    let counters = CounterUpdate::lock(&store.users, changes).await;
    counters.add_to(&store.keys, &mut txn);
    let records = drafts.iter().map(|(_, draft)| &*draft.credential);
    feed::add_written(&store.keys, &mut txn, records);
    (counters, txn)
}

/// Decides from what a failed transaction read what becomes of a record; `None` to retry. A stored
/// record that cannot be decoded counts as a different one.
fn outcome(draft: &Draft, ranges: &mut impl Iterator<Item = RangeAnswer>) -> Option<Loaded> {
    let found = draft.conflicts(ranges);
    // It may be stored in another encoding.
    let is_same = |stored: &KeyValue| {
        draft.is(stored)
            || record::decode(stored).is_ok_and(|found| found.credential == draft.credential)
    };
    match &found.stored {
        Some(stored) if is_same(stored) => Some(Loaded::AlreadyThere),
        Some(_) => Some(Loaded::Refused),
        None => found.is_taken.then_some(Loaded::Refused),
    }
}
