//! What all writes are made of.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::domain::{Credential, UserId};

use super::error::{Trouble, TroubleKind};
use super::keys::{Entry, Keys};
use super::record;
use super::wire::{KeyValue, Range, RangeAnswer, Txn};

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
    /// About how many bytes a transaction has with it alone.
    bytes: usize,
}

impl Draft {
    /// Refuses a record that no transaction could hold.
    pub(super) fn new(keys: &Keys, credential: &Arc<Credential>) -> Result<Self, Trouble> {
        let mut draft = Self {
            credential: Arc::clone(credential),
            key: keys.record(credential.id.as_str()),
            entries: keys.entries(credential),
            value: record::encode(credential),
            bytes: 0,
        };
        let mut alone = Txn::default();
        draft.add(&mut alone);
        // And what is told of it, and the counter.
        let names = 4 * draft.key.len() + 2 * credential.user_id.as_str().len();
        draft.bytes = alone.bytes() + names + 1_024;
        if draft.bytes > MAX_BYTES {
            let bytes = draft.bytes;
            let what =
                format!("the record takes {bytes} bytes, and etcd takes {MAX_BYTES} at once");
            return Err(Trouble::new(TroubleKind::TooLong, what));
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

    /// What a failed transaction read of it.
    pub(super) fn found(&self, ranges: &mut impl Iterator<Item = RangeAnswer>) -> FoundOf {
        let stored = ranges.next().and_then(RangeAnswer::one);
        let unique = self.entries.iter().filter(|entry| entry.is_unique).count();
        let others = ranges.take(unique).filter_map(RangeAnswer::one).count();
        FoundOf { is_taken: stored.is_some() || others > 0, stored }
    }

    /// Whether this is what is stored.
    pub(super) fn is(&self, found: &KeyValue) -> bool {
        *self.value == found.value.0
    }

    fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        std::iter::once(&self.key).chain(self.entries.iter().map(|entry| &entry.key))
    }

    fn operations(&self) -> usize {
        1 + self.entries.len()
    }
}

/// What was in the place of a record.
pub(super) struct FoundOf {
    /// The record with its id.
    pub(super) stored: Option<KeyValue>,
    /// Whether that, or another record has what must be its own.
    pub(super) is_taken: bool,
}

/// What one transaction is to hold.
#[derive(Default)]
pub(super) struct Fit {
    /// What no two records may write.
    keys: HashSet<Vec<u8>>,
    users: HashSet<UserId>,
    operations: usize,
    bytes: usize,
}

impl Fit {
    /// Whether this record may be in it too.
    pub(super) fn admits(&self, draft: &Draft) -> bool {
        let user = usize::from(!self.users.contains(&draft.credential.user_id));
        self.operations + draft.operations() + user < MAX_OPERATIONS
            && self.bytes + draft.bytes <= MAX_BYTES
            && !draft.keys().any(|key| self.keys.contains(key))
    }

    pub(super) fn add(&mut self, draft: &Draft) {
        self.operations += draft.operations();
        self.operations += usize::from(self.users.insert(draft.credential.user_id.clone()));
        self.bytes += draft.bytes;
        self.keys.extend(draft.keys().cloned());
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Waits before another attempt, longer each time and by chance, so that those who are in
/// each other's way part.
pub(super) async fn pause(attempt: u32) {
    if attempt > 1 {
        let longest = Duration::from_millis(u64::from(attempt.min(20)));
        sleep(longest.mul_f64(rand::random())).await;
    }
}
