//! What all writes are made of, and the insert.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::backend::{BackendError, Change};
use crate::domain::{Credential, Quota};

use super::Store;
use super::error::{Trouble, TroubleKind};
use super::feed;
use super::keys::{Entry, Keys};
use super::record;
use super::tally::Tally;
use super::wire::{Range, RangeAnswer, Txn};

/// How many bytes one transaction may have: etcd's own bound, 1.5 MiB by default, less
/// what a request has around it.
pub(super) const MAX_BYTES: usize = 1_500_000;

/// How many operations one transaction may have: etcd's own bound is 128 by default.
pub(super) const MAX_OPERATIONS: usize = 120;

/// How often a write is tried while others write to the same records.
pub(super) const ATTEMPTS: u32 = 64;

/// A record as it is to be written.
pub(super) struct Draft {
    pub(super) credential: Arc<Credential>,
    pub(super) key: Vec<u8>,
    pub(super) entries: Vec<Entry>,
    pub(super) value: Zeroizing<Vec<u8>>,
}

impl Draft {
    /// Refuses a record that no transaction could hold.
    pub(super) fn new(keys: &Keys, credential: &Arc<Credential>) -> Result<Self, Trouble> {
        let draft = Self {
            credential: Arc::clone(credential),
            key: keys.record(credential.id.as_str()),
            entries: keys.entries(credential),
            value: record::encode(credential),
        };
        let mut alone = Txn::default();
        draft.add(&mut alone);
        feed::tell(keys, &mut alone, &[Change::written(credential)]);
        // The counter.
        let bytes = alone.bytes() + 2 * keys.counter(&credential.user_id).len() + 256;
        if bytes > MAX_BYTES {
            let what =
                format!("the record takes {bytes} bytes, and etcd takes {MAX_BYTES} at once");
            return Err(Trouble::new(TroubleKind::TooLarge, what));
        }
        Ok(draft)
    }

    /// Adds a new record to a transaction. If that fails it reads the record, and then
    /// each entry that must be its own.
    pub(super) fn add(&self, txn: &mut Txn) {
        txn.require(self.key.clone(), 0);
        txn.otherwise(Range::of(self.key.clone()));
        txn.put(self.key.clone(), &**self.value);
        for entry in &self.entries {
            if entry.is_unique {
                txn.require(entry.key.clone(), 0);
                txn.otherwise(Range::of(entry.key.clone()));
            }
            txn.put(entry.key.clone(), &*entry.value);
        }
    }

    pub(super) fn unique_entries(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_unique).count()
    }

    /// Whether this is what is stored.
    pub(super) fn is(&self, found: &super::wire::KeyValue) -> bool {
        *self.value == found.value.0
    }
}

/// Stores a record that must not exist yet.
pub(super) async fn insert(
    store: &Store,
    credential: &Arc<Credential>,
    quota: Quota,
) -> Result<(), BackendError> {
    let draft = Draft::new(&store.keys, credential)?;
    store.room.admit(&store.client, draft.value.len()).await?;
    let changes = BTreeMap::from([(credential.user_id.clone(), 1)]);
    let mut tally = Tally::of(store, changes).await;
    if !quota.admits(tally.held()) {
        // Others may have made room.
        tally.forget();
        tally.look_up(store).await?;
    }
    let mut is_doubtful = false;
    for attempt in 0..ATTEMPTS {
        pause(attempt).await;
        if !quota.admits(tally.held()) {
            return Err(BackendError::QuotaExceeded);
        }
        let mut txn = Txn::default();
        draft.add(&mut txn);
        tally.write(&store.keys, &mut txn);
        feed::tell(&store.keys, &mut txn, &[Change::written(credential)]);
        let answered = store.client.txn(&txn).await?;
        if answered.answer.succeeded {
            tally.done(answered.answer.header.revision);
            return Ok(());
        }
        is_doubtful |= answered.is_doubtful;
        let mut ranges = answered.answer.ranges();
        let stored = ranges.next().and_then(RangeAnswer::one);
        let mut is_taken = stored.is_some();
        for range in ranges.by_ref().take(draft.unique_entries()) {
            is_taken |= range.one().is_some();
        }
        let has_moved = tally.learn(ranges)?;
        if is_doubtful {
            if stored.is_some_and(|stored| draft.is(&stored)) {
                return Ok(());
            }
            // It may have been stored, and deleted since.
            if has_moved {
                return Err(Trouble::doubtful().into());
            }
        }
        if !quota.admits(tally.held()) {
            return Err(BackendError::QuotaExceeded);
        }
        if is_taken {
            return Err(BackendError::AlreadyExists);
        }
    }
    Err(Trouble::contended().into())
}

/// Waits before another attempt, longer each time and by chance, so that those who are in
/// each other's way part.
pub(super) async fn pause(attempt: u32) {
    if attempt > 1 {
        let longest = Duration::from_millis(u64::from(attempt.min(20)));
        sleep(longest.mul_f64(rand::random())).await;
    }
}
