//! [`Turns`]: one write of a record at a time, so that its audit events are in order.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard, OwnedRwLockReadGuard, RwLock};

use crate::domain::CredentialId;

/// How many writes of a record may wait. Further ones are refused at once.
const MAX_WAITING: usize = 1_024;

/// The records that are being written.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// By the hash of the id: two records with the same one share their turns.
    queues: Mutex<HashMap<u64, Arc<Queue<()>>>>,
    hasher: RandomState,
    /// Each write that is running can read.
    running: Arc<RwLock<()>>,
}

/// A record, for [`Turns::take`]. Take the turns of several records in their order, each once, so
/// that no two writes wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

/// The turn of a write. The next one begins when it is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    place: Place,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Returns what a write holds while it is running.
    pub(super) async fn running(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.running).read_owned().await
    }

    /// Waits until no write is running.
    pub(crate) async fn settled(&self) {
        drop(self.running.write().await);
    }

    pub(super) fn place(&self, id: &CredentialId) -> Place {
        Place(self.hasher.hash_one(id))
    }

    /// Waits until no other write of the record is running. Returns `None` if too many wait.
    pub(super) async fn take(self: &Arc<Self>, place: Place) -> Option<Turn> {
        let queue = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = queues.entry(place.0).or_default();
            // Besides the map, the running write and each one that waits have a reference.
            if Arc::strong_count(queue) > MAX_WAITING + 1 {
                return None;
            }
            Arc::clone(queue)
        };
        // Before it waits, so that a caller that gives up leaves no queue.
        let mut turn = Turn { turns: Arc::clone(self), place, held: None };
        turn.held = Some(queue.lock_owned().await);
        Some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        let mut queues = self.turns.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(queue) = queues.entry(self.place.0)
            && Arc::strong_count(queue.get()) == 1
        {
            queue.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_of_one_record_take_turns_and_leave_nothing_behind() {
        let turns = Arc::new(Turns::default());
        let [one, other] = ["one", "other"].map(|id| turns.place(&CredentialId::from_stored(id)));
        let first = turns.take(one).await;
        let _unrelated = turns.take(other).await;
        let mut second = tokio_test::task::spawn(async { turns.take(one).await });
        let mut given_up = tokio_test::task::spawn(async { turns.take(one).await });
        assert!(second.poll().is_pending());
        assert!(given_up.poll().is_pending());
        drop(given_up);
        drop(first);
        assert!(second.is_woken());
        assert!(second.await.is_some());
        assert_eq!(turns.queues.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn waiting_writes_of_one_record_are_bounded() {
        let turns = Arc::new(Turns::default());
        let place = turns.place(&CredentialId::from_stored("one"));
        let running = turns.take(place).await;
        let wait = || {
            let mut waiting = tokio_test::task::spawn(turns.take(place));
            assert!(waiting.poll().is_pending());
            waiting
        };
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| wait()).collect();
        assert!(turns.take(place).await.is_none());
        waiting.pop();
        waiting.push(wait());
        drop((waiting, running));
        assert!(turns.queues.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn turns_are_settled_when_the_last_write_has_ended() {
        let turns = Arc::new(Turns::default());
        turns.settled().await;
        let [one, other] = [turns.running().await, turns.running().await];
        let mut settled = tokio_test::task::spawn(turns.settled());
        assert!(settled.poll().is_pending());
        drop(one);
        assert!(settled.poll().is_pending());
        drop(other);
        assert!(settled.poll().is_ready());
    }
}
