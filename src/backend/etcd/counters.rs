//! The counters that quotas are checked with, and the inserts that wait for them.
//!
//! A write that adds or removes records of a user also moves the user's counter, in the same
//! transaction. Within one process, one write at a time moves a counter, so that its writes do
//! not conflict with each other. Conflicts with other processes are detected by etcd.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::backend::BackendError;
use crate::domain::{Quota, UserId};

use super::client::Client;
use super::error::{CorruptKey, WriteError};
use super::keys::Keys;
use super::record::{Draft, TxnBudget};
use super::wire::{KeyValue, Range, RangeAnswer, Txn};

/// How many users' counters are remembered.
const MAX_USERS: usize = 10_000;

/// A user's counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counter {
    /// How many records the user has.
    pub(super) held: u64,
    /// When the counter was last written; 0 if never.
    ///
    /// Each write moves it and none deletes it. A transaction that requires a revision
    /// therefore takes effect once at most, however often and late it is sent.
    pub(super) revision: i64,
}

impl Counter {
    pub(super) fn read(found: Option<&KeyValue>) -> Result<Self, CorruptKey> {
        let Some(found) = found else { return Ok(Self::default()) };
        let held = str::from_utf8(&found.value.0).ok().and_then(|text| text.parse().ok());
        let held = held.ok_or_else(|| CorruptKey::new(&found.key.0, "the count"))?;
        Ok(Self { held, revision: found.mod_revision })
    }
}

/// The state of each user: the last known counter and the waiting inserts.
#[derive(Default)]
pub(super) struct Users {
    users: Mutex<HashMap<UserId, Arc<User>>>,
}

#[derive(Default)]
pub(super) struct User {
    counter: Arc<tokio::sync::Mutex<Option<Counter>>>,
    pub(super) inserts: InsertQueue,
}

/// Exclusive access to a user's counter; `None` if its value is not known.
type CounterGuard = OwnedMutexGuard<Option<Counter>>;

impl Users {
    /// Waits for exclusive access to this user's counter.
    async fn lock(&self, user_id: &UserId) -> CounterGuard {
        Arc::clone(&self.get(user_id).counter).lock_owned().await
    }

    pub(super) fn get(&self, user_id: &UserId) -> Arc<User> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = users.get(user_id) {
            return Arc::clone(user);
        }
        if users.len() >= MAX_USERS {
            let is_used = |user: &Arc<User>| {
                Arc::strong_count(user) > 1 || Arc::strong_count(&user.counter) > 1
            };
            users.retain(|_, user| is_used(user));
        }
        Arc::clone(users.entry(user_id.clone()).or_default())
    }
}

/// The waiting inserts of one user.
#[derive(Default)]
pub(super) struct InsertQueue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    inserts: VecDeque<Insert>,
    /// Whether a task works on the queue.
    has_worker: bool,
}

/// An insert and where its result goes.
pub(super) struct Insert {
    pub(super) draft: Draft,
    pub(super) quota: Quota,
    pub(super) result: oneshot::Sender<Result<(), BackendError>>,
    /// Whether an earlier attempt may have taken effect.
    pub(super) is_outcome_unknown: bool,
}

impl Insert {
    pub(super) fn finish(self, result: Result<(), BackendError>) {
        // The caller may be gone.
        let _ = self.result.send(result);
    }
}

impl InsertQueue {
    /// Adds an insert. Returns whether the caller must start a worker.
    pub(super) fn push(&self, insert: Insert) -> bool {
        let mut waiting = self.waiting();
        waiting.inserts.push_back(insert);
        !std::mem::replace(&mut waiting.has_worker, true)
    }

    /// Takes as many inserts as fit one transaction. An empty result ends the worker.
    pub(super) fn take(&self) -> Vec<Insert> {
        let mut waiting = self.waiting();
        let (mut budget, mut taken) = (TxnBudget::default(), Vec::new());
        while waiting.inserts.front().is_some_and(|next| budget.fits(&next.draft)) {
            let Some(next) = waiting.inserts.pop_front() else { break };
            // Callers that are gone are skipped.
            if !next.result.is_closed() {
                budget.add(&next.draft);
                taken.push(next);
            }
        }
        waiting.has_worker = !taken.is_empty();
        taken
    }

    /// Puts unfinished inserts back, in order.
    pub(super) fn put_back(&self, inserts: Vec<Insert>) {
        let mut waiting = self.waiting();
        for insert in inserts.into_iter().rev() {
            waiting.inserts.push_front(insert);
        }
    }

    /// Fails all waiting inserts, because the worker was aborted.
    pub(super) fn abort(&self) {
        *self.waiting() = Waiting::default();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters that one write moves, with exclusive access to them.
pub(super) struct CounterUpdate {
    users: Vec<UserUpdate>,
}

struct UserUpdate {
    user_id: UserId,
    change: i64,
    counter: CounterGuard,
}

impl CounterUpdate {
    /// Waits for exclusive access to the counters of these users. Each counter is to change by
    /// the number beside its user.
    pub(super) async fn lock(users: &Users, changes: BTreeMap<UserId, i64>) -> Self {
        let mut updates = Vec::with_capacity(changes.len());
        // All writes lock in the order of the ids, so that no two deadlock.
        for (user_id, change) in changes {
            let counter = users.lock(&user_id).await;
            updates.push(UserUpdate { user_id, change, counter });
        }
        Self { users: updates }
    }

    /// Reads the counters that are not known.
    pub(super) async fn fetch_unknown(
        &mut self,
        client: &Client,
        keys: &Keys,
    ) -> Result<(), WriteError> {
        let unknown: Vec<_> = self.users.iter_mut().filter(|user| user.counter.is_none()).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let ranges = unknown.iter().map(|user| Range::of(keys.counter(&user.user_id)));
        let answer = client.read(ranges).await?;
        for (user, range) in unknown.into_iter().zip(answer.ranges()) {
            *user.counter = Some(Counter::read(range.one().as_ref())?);
        }
        Ok(())
    }

    /// The last known number of records of the first user.
    pub(super) fn held(&self) -> u64 {
        self.users.first().map_or(0, |user| user.known().held)
    }

    /// The last known number of records of this user.
    pub(super) fn held_by(&self, user_id: &UserId) -> u64 {
        let user = self.users.iter().find(|user| user.user_id == *user_id);
        user.map_or(0, |user| user.known().held)
    }

    /// Sets the change of the first user's counter.
    pub(super) fn set_change(&mut self, change: i64) {
        if let Some(user) = self.users.first_mut() {
            user.change = change;
        }
    }

    /// Forgets the counters, which other processes may have moved.
    pub(super) fn forget(&mut self) {
        for user in &mut self.users {
            *user.counter = None;
        }
    }

    /// Adds the counters to a transaction, which reads them if it fails.
    pub(super) fn add_to(&self, keys: &Keys, txn: &mut Txn) {
        for user in &self.users {
            let (key, counter) = (keys.counter(&user.user_id), user.known());
            txn.require(key.clone(), counter.revision);
            txn.otherwise(Range::of(key.clone()));
            txn.put(key, user.held_after(counter).to_string());
        }
    }

    /// Takes over the counters that a failed transaction read. Returns whether one had moved.
    pub(super) fn refresh(
        &mut self,
        mut ranges: impl Iterator<Item = RangeAnswer>,
    ) -> Result<bool, WriteError> {
        let mut has_moved = false;
        for user in &mut self.users {
            let found = ranges.next().and_then(RangeAnswer::one);
            let counter = Counter::read(found.as_ref())?;
            has_moved |= counter != user.known();
            *user.counter = Some(counter);
        }
        Ok(has_moved)
    }

    /// Records that the transaction was committed at this revision.
    pub(super) fn committed(&mut self, revision: i64) {
        for user in &mut self.users {
            let held = user.held_after(user.known());
            *user.counter = Some(Counter { held, revision });
        }
    }
}

impl UserUpdate {
    /// A counter that is not known is taken for new. The transaction fails if it is not.
    fn known(&self) -> Counter {
        self.counter.unwrap_or_default()
    }

    fn held_after(&self, counter: Counter) -> u64 {
        counter.held.saturating_add_signed(self.change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn known_counters_are_bounded_and_a_locked_one_is_kept() {
        let users = Users::default();
        let held = UserId::from_stored("held");
        let mut counter = users.lock(&held).await;
        for n in 0..2 * MAX_USERS {
            drop(users.lock(&UserId::from_stored(n.to_string())).await);
        }
        assert!(users.users.lock().unwrap().len() <= MAX_USERS);
        *counter = Some(Counter { held: 3, revision: 7 });
        drop(counter);
        assert_eq!(users.lock(&held).await.unwrap().held, 3);
    }
}
