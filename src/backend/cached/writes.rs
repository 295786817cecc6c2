//! The order of writes and calls, so that no stale answer is served.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::domain::{AccessKey, CredentialId, ProjectId, UserId};

/// The number of partitions that the writes of records and access keys share, and the number
/// that the purges of users and projects share. A write makes all entries of its partition
/// stale: that costs lookups but is never wrong. More partitions would not fit into the
/// processor's cache, and every lookup reads them.
const RECORDS: usize = 1 << 14;
const OWNERS: usize = 1 << 10;

/// Counts writes, and stores the number of the last write of each partition.
///
/// A call takes the [`Stamp`] before it starts. A write is counted after it was done and
/// before its caller gets the result. So an answer that missed a write has an older stamp than
/// the partitions of the write, whenever it arrives.
pub(super) struct Writes {
    hasher: RandomState,
    count: AtomicU64,
    /// The partitions of records, then those of owners. Only purges touch the latter, so that
    /// creating keys does not make all entries of a user stale.
    last: Box<[AtomicU64]>,
}

/// The number of writes that were done at some moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(u64);

/// The index of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partition(u16);

impl Writes {
    pub(super) fn stamp(&self) -> Stamp {
        Stamp(self.count.load(Ordering::SeqCst))
    }

    pub(super) fn record(&self, id: &CredentialId) -> Partition {
        self.partition(("record", id), 0, RECORDS)
    }

    /// Returns the partition of the record that is created with this access key. Most records
    /// keep that key, so that a lookup has one partition less to check.
    pub(super) fn access_key(&self, access_key: &AccessKey) -> Partition {
        self.record(&CredentialId::of(access_key))
    }

    pub(super) fn user(&self, id: &UserId) -> Partition {
        self.partition(("user", id), RECORDS, OWNERS)
    }

    pub(super) fn project(&self, id: &ProjectId) -> Partition {
        self.partition(("project", id), RECORDS, OWNERS)
    }

    /// Returns whether none of these partitions was written since.
    pub(super) fn are_untouched(&self, partitions: &[Partition], since: Stamp) -> bool {
        partitions.iter().all(|partition| {
            let last = self.last.get(usize::from(partition.0));
            last.is_some_and(|last| last.load(Ordering::Acquire) <= since.0)
        })
    }

    /// Returns a guard that counts a write in these partitions when it is dropped.
    pub(super) fn under_way(self: &Arc<Self>, partitions: Vec<Partition>) -> UnderWay {
        UnderWay { writes: Arc::clone(self), partitions }
    }

    /// Counts a write of anything.
    pub(super) fn count_everywhere(&self) {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        for last in &self.last {
            last.fetch_max(number, Ordering::SeqCst);
        }
    }

    /// Counts a write in these partitions.
    pub(super) fn count(&self, partitions: &[Partition]) {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        for partition in partitions {
            if let Some(last) = self.last.get(usize::from(partition.0)) {
                last.fetch_max(number, Ordering::SeqCst);
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "below the number of partitions")]
    fn partition(&self, thing: impl Hash, from: usize, among: usize) -> Partition {
        let at = self.hasher.hash_one(thing) % among as u64;
        Partition((from as u64 + at) as u16)
    }
}

impl Default for Writes {
    fn default() -> Self {
        let last = std::iter::repeat_with(AtomicU64::default).take(RECORDS + OWNERS).collect();
        Self { hasher: RandomState::new(), count: AtomicU64::default(), last }
    }
}

opaque_debug!(Writes);

/// A write in progress. Dropping it counts the write, also when the write failed, panicked or
/// was canceled: it may have happened.
#[derive(Debug)]
pub(super) struct UnderWay {
    writes: Arc<Writes>,
    partitions: Vec<Partition>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.writes.count(&self.partitions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_invalidates_earlier_stamps_only() {
        let writes = Arc::new(Writes::default());
        let partition = writes.access_key(&AccessKey::from_stored("a"));
        let before = writes.stamp();
        let under_way = writes.under_way(vec![partition]);
        assert!(writes.are_untouched(&[partition], before));
        drop(under_way);
        assert!(!writes.are_untouched(&[partition], before));
        assert!(writes.are_untouched(&[partition], writes.stamp()));
    }

    #[test]
    fn purges_and_writes_use_separate_partitions() {
        let writes = Writes::default();
        for number in 0..1_000 {
            let name = number.to_string();
            let user = writes.user(&UserId::from_stored(name.as_str()));
            let project = writes.project(&ProjectId::from_stored(name.as_str()));
            let record = writes.record(&CredentialId::from_stored(name.as_str()));
            let key = writes.access_key(&AccessKey::from_stored(name.as_str()));
            let [user, project, record, key] =
                [user, project, record, key].map(|partition| usize::from(partition.0));
            assert!(record.max(key) < RECORDS && user.min(project) >= RECORDS);
            assert!(user.max(project) < RECORDS + OWNERS);
        }
    }
}
