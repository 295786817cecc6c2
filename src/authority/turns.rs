//! [`Turns`]: one write of a record at a time, so that its audit events are in order.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, RwLock};

use crate::domain::CredentialId;

/// The records that are being written.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    queues: Mutex<HashMap<CredentialId, Arc<tokio::sync::Mutex<()>>>>,
    /// Each write that is running can read.
    running: Arc<RwLock<()>>,
}

/// The turn of a write. The next one begins when it is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    id: CredentialId,
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

    /// Waits until no other write of the record is running.
    pub(super) async fn take(self: &Arc<Self>, id: &CredentialId) -> Turn {
        let queue = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(queues.entry(id.clone()).or_default())
        };
        // Before it waits, so that a caller that gives up leaves no queue.
        let mut turn = Turn { turns: Arc::clone(self), id: id.clone(), held: None };
        turn.held = Some(queue.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        let mut queues = self.turns.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.get(&self.id).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_of_one_record_take_turns_and_leave_nothing_behind() {
        let turns = Arc::new(Turns::default());
        let [one, other] = ["one", "other"].map(CredentialId::from_stored);
        let first = turns.take(&one).await;
        let _unrelated = turns.take(&other).await;
        let mut second = tokio_test::task::spawn(async { turns.take(&one).await });
        let mut given_up = tokio_test::task::spawn(async { turns.take(&one).await });
        assert!(second.poll().is_pending());
        assert!(given_up.poll().is_pending());
        drop(given_up);
        drop(first);
        assert!(second.is_woken());
        drop(second.await);
        assert_eq!(turns.queues.lock().unwrap().len(), 1);
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
