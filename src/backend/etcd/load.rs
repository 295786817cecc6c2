//! Many records at once: several in one transaction, and many transactions at a time.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::backend::{BackendError, Loaded};
use crate::domain::{Credential, UserId};

use super::Store;
use super::error::{Trouble, TroubleKind};
use super::feed;
use super::record;
use super::tally::Tally;
use super::wire::{KeyValue, RangeAnswer, Txn};
use super::write::{ATTEMPTS, Draft, Fit, pause};

/// How many transactions are under way at once.
const AT_ONCE: usize = 32;

/// How many records of different users are given to one task.
const A_TASK: usize = 20;

/// A record, and its place in the load.
type Placed = (usize, Draft);

/// Stores records that come from elsewhere.
pub(super) async fn load(
    store: &Arc<Store>,
    records: &[Arc<Credential>],
) -> Result<Vec<Loaded>, BackendError> {
    let mut users: BTreeMap<UserId, Vec<Placed>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        // What no transaction could hold stays refused.
        let Ok(draft) = Draft::new(&store.keys, record) else { continue };
        users.entry(record.user_id.clone()).or_default().push((place, draft));
    }
    // A user's records stay together: those in other transactions would wait.
    let (mut tasks, permits) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut together = Vec::new();
    let mut users = users.into_values().peekable();
    while let Some(of_user) = users.next() {
        together.extend(of_user);
        if together.len() < A_TASK && users.peek().is_some() {
            continue;
        }
        let (together, permits) = (std::mem::take(&mut together), Arc::clone(&permits));
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            in_turn(&store, together).await
        });
    }
    let mut loaded = vec![Loaded::Refused; records.len()];
    while let Some(task) = tasks.join_next().await {
        let task = task.map_err(|_| Trouble::unexpected("a load was given up"))?;
        for (place, became) in task? {
            loaded[place] = became;
        }
    }
    Ok(loaded)
}

/// Stores these records, as many in one transaction as it takes.
async fn in_turn(store: &Store, drafts: Vec<Placed>) -> Result<Vec<(usize, Loaded)>, BackendError> {
    let mut loaded = Vec::with_capacity(drafts.len());
    let mut batch = Batch::default();
    for placed in drafts {
        if !batch.fit.admits(&placed.1) {
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
    drafts: Vec<Placed>,
    fit: Fit,
}

impl Batch {
    fn add(&mut self, placed: Placed) {
        self.fit.add(&placed.1);
        self.drafts.push(placed);
    }

    /// Stores those that can be.
    async fn store(self, store: &Store) -> Result<Vec<(usize, Loaded)>, BackendError> {
        let mut loaded = Vec::with_capacity(self.drafts.len());
        store.room.admit(&store.client, self.fit.bytes()).await?;
        let (mut left, mut is_doubtful, mut at_once) = (self.drafts, false, usize::MAX);
        let mut attempt = 0;
        while !left.is_empty() {
            if attempt == ATTEMPTS {
                return Err(Trouble::contended().into());
            }
            pause(attempt).await;
            let some = at_once.min(left.len());
            let (mut tally, txn) = together(store, &left[..some]).await;
            let answered = match store.client.txn(&txn).await {
                // The records that are there already may be long, or etcd may take fewer
                // bytes at once than it does by default.
                Err(trouble) if trouble.is(TroubleKind::TooLarge) => {
                    if some == 1 {
                        loaded
                            .extend(left.drain(..some).map(|(place, _)| (place, Loaded::Refused)));
                    }
                    at_once = (some / 2).max(1);
                    continue;
                }
                answered => answered?,
            };
            if answered.answer.succeeded {
                tally.done(answered.answer.header.revision);
                loaded.extend(left.drain(..some).map(|(place, _)| (place, Loaded::Stored)));
                attempt = 0;
                continue;
            }
            attempt += 1;
            is_doubtful |= answered.is_doubtful;
            let mut ranges = answered.answer.ranges();
            let rest = left.split_off(some);
            let mut again = Vec::new();
            for (place, draft) in left {
                match became(&draft, &mut ranges) {
                    Some(Loaded::AlreadyThere) if is_doubtful => {
                        loaded.push((place, Loaded::Stored));
                    }
                    Some(became) => loaded.push((place, became)),
                    None => again.push((place, draft)),
                }
            }
            let has_moved = tally.learn(ranges)?;
            if is_doubtful && has_moved && !again.is_empty() {
                // They may have been stored, and deleted since.
                return Err(Trouble::doubtful().into());
            }
            again.extend(rest);
            left = again;
        }
        Ok(loaded)
    }
}

/// One transaction that stores all of these, or nothing.
async fn together(store: &Store, drafts: &[Placed]) -> (Tally, Txn) {
    let (mut changes, mut txn) = (BTreeMap::new(), Txn::default());
    for (_, draft) in drafts {
        *changes.entry(draft.credential.user_id.clone()).or_default() += 1;
        draft.add(&mut txn);
    }
    // Counters that are not known are taken for new, as in a store that is filled.
    let tally = Tally::of(store, changes).await;
    tally.write(&store.keys, &mut txn);
    let records = drafts.iter().map(|(_, draft)| &*draft.credential);
    feed::tell_written(&store.keys, &mut txn, records);
    (tally, txn)
}

/// What a failed transaction read of a record: what became of it, if that is known. What
/// cannot be read is another record.
fn became(draft: &Draft, ranges: &mut impl Iterator<Item = RangeAnswer>) -> Option<Loaded> {
    let found = draft.found(ranges);
    // It may have been written in another form.
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
