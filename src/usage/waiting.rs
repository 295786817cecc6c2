//! The uses that wait to be reported.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasher, RandomState},
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::whole_seconds;
use crate::domain::CredentialId;

/// The number of shards, each with its own lock; at most 256.
const SHARDS: usize = 16;

/// The last second of each key that was used, for at most `capacity` keys.
pub(super) struct Waiting {
    shards: [Mutex<HashMap<CredentialId, u64>>; SHARDS],
    hasher: RandomState,
    capacity: usize,
    /// The number of keys, including those that were taken and are not reported yet.
    held: AtomicUsize,
}

/// The result of recording a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// The key was already waiting.
    Again,
    /// The first use of the key; contains the number of waiting keys.
    First(usize),
    /// The capacity is exhausted.
    NoRoom,
}

impl Waiting {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            capacity,
            held: AtomicUsize::new(0),
        }
    }

    pub(super) fn hash(&self, id: &CredentialId) -> u64 {
        self.hasher.hash_one(id)
    }

    /// Records a use of the key with this hash.
    pub(super) fn record(&self, hash: u64, id: &CredentialId, second: u64) -> Recorded {
        let mut shard = self.shard(hash);
        if let Some(latest) = shard.get_mut(id) {
            *latest = second.max(*latest);
            return Recorded::Again;
        }
        let one_more = |held| (held < self.capacity).then_some(held + 1);
        let Ok(before) = self.held.fetch_update(Relaxed, Relaxed, one_more) else {
            return Recorded::NoRoom;
        };
        shard.insert(id.clone(), second);
        Recorded::First(before + 1)
    }

    /// Returns the number of waiting keys.
    pub(super) fn len(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Takes all waiting uses. They count against the capacity until they are reported.
    pub(super) fn take(&self) -> Taken<'_> {
        let mut uses = Vec::with_capacity(self.len());
        for shard in &self.shards {
            // Replaced first, so that others wait only for the exchange.
            let keys = mem::take(&mut *lock(shard));
            uses.extend(keys.into_iter().map(|(id, second)| (id, from_second(second))));
        }
        Taken { waiting: self, uses }
    }

    fn put_back(&self, id: CredentialId, second: u64) {
        match self.shard(self.hash(&id)).entry(id) {
            Entry::Occupied(mut newer) => {
                let latest = second.max(*newer.get());
                newer.insert(latest);
                // It was counted twice.
                self.held.fetch_sub(1, Relaxed);
            }
            Entry::Vacant(place) => {
                place.insert(second);
            }
        }
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, HashMap<CredentialId, u64>> {
        lock(&self.shards[usize::from(hash.to_le_bytes()[0]) % SHARDS])
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("held", &self.len()).finish_non_exhaustive()
    }
}

/// Uses that are being reported. Those that are not reported when this is dropped wait again.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    waiting: &'a Waiting,
    uses: Vec<(CredentialId, SystemTime)>,
}

impl Taken<'_> {
    /// Returns at most `most` uses that are not reported yet; `None` if all are.
    pub(super) fn batch(&self, most: usize) -> Option<&[(CredentialId, SystemTime)]> {
        let first = self.uses.len().saturating_sub(most);
        Some(&self.uses[first..]).filter(|batch| !batch.is_empty())
    }

    /// Records that the uses of [`batch`](Self::batch) were reported.
    pub(super) fn reported(&mut self, most: usize) {
        let left = self.uses.len().saturating_sub(most);
        self.waiting.held.fetch_sub(self.uses.len() - left, Relaxed);
        self.uses.truncate(left);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for (id, time) in mem::take(&mut self.uses) {
            self.waiting.put_back(id, whole_seconds(time));
        }
    }
}

/// Returns the time of a second.
fn from_second(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No panic while it is locked leaves it inconsistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(waiting: &Waiting, id: &str, second: u64) -> Recorded {
        let id = CredentialId::from_stored(id);
        waiting.record(waiting.hash(&id), &id, second)
    }

    fn uses(taken: &Taken<'_>) -> Vec<(String, u64)> {
        let mut uses: Vec<_> =
            taken.uses.iter().map(|(id, time)| (id.to_string(), whole_seconds(*time))).collect();
        uses.sort_unstable();
        uses
    }

    #[test]
    fn unreported_uses_wait_again_with_their_latest_second() {
        let waiting = Waiting::new(9);
        for (id, second) in [("a", 1), ("b", 5), ("c", 1)] {
            record(&waiting, id, second);
        }
        let taken = waiting.take();
        for (id, second) in [("a", 3), ("b", 2)] {
            assert!(matches!(record(&waiting, id, second), Recorded::First(_)), "{id}");
        }
        assert_eq!(waiting.len(), 5);
        drop(taken);
        assert_eq!(waiting.len(), 3);
        let again = waiting.take();
        assert_eq!(uses(&again), [("a".into(), 3), ("b".into(), 5), ("c".into(), 1)]);
    }

    #[test]
    fn taken_uses_count_until_they_are_reported() {
        let waiting = Waiting::new(3);
        for id in ["a", "b", "c"] {
            record(&waiting, id, 1);
        }
        let mut taken = waiting.take();
        assert_eq!(record(&waiting, "d", 1), Recorded::NoRoom);
        assert_eq!(taken.batch(2).unwrap().len(), 2);
        taken.reported(2);
        assert_eq!(record(&waiting, "d", 1), Recorded::First(2));
        assert_eq!(record(&waiting, "d", 2), Recorded::Again);
        taken.reported(2);
        assert!(taken.batch(2).is_none());
        drop(taken);
        assert_eq!(waiting.len(), 1);
    }
}
