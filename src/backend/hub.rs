//! The changes of one process, told to all in it who listen.

use std::sync::Arc;

use tokio::{
    sync::broadcast::{self, error::TryRecvError},
    time::timeout,
};

use super::error::BackendError;
use super::feed::{Change, MAX_FEED_WAIT, Notice};

/// How many tellings wait for a listener; who is slower is told that everything changed.
const BACKLOG: usize = 1_024;

/// Where changes are told. A clone tells the same listeners.
#[derive(Clone, Debug)]
pub(super) struct Hub(broadcast::Sender<Arc<[Change]>>);

impl Hub {
    /// Tells changes that were made and not answered yet. Whoever calls this in the order
    /// of the changes is heard in that order.
    pub(super) fn tell(&self, changes: impl FnOnce() -> Vec<Change>) {
        if self.0.receiver_count() > 0 {
            // Who stopped listening meanwhile does not want to know.
            let _ = self.0.send(changes().into());
        }
    }

    pub(super) fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

/// One who listens.
#[derive(Debug)]
pub(super) struct Listener(broadcast::Receiver<Arc<[Change]>>);

impl Listener {
    /// What was told, after a [`MAX_FEED_WAIT`] at the latest; always complete.
    pub(super) async fn next(&mut self) -> Result<Notice, BackendError> {
        let mut notice = Notice { changes: Vec::new(), is_complete: true };
        let first = timeout(MAX_FEED_WAIT, self.0.recv()).await;
        match first {
            Err(_elapsed) => {}
            Ok(Ok(changes)) => notice.changes.extend_from_slice(&changes),
            Ok(Err(broadcast::error::RecvError::Lagged(_))) => {
                notice.changes.push(Change::Everything);
            }
            Ok(Err(broadcast::error::RecvError::Closed)) => return Err(over()),
        }
        // What waits now was told before: no more of it, since more may come all the time.
        for _ in 0..self.0.len() {
            match self.0.try_recv() {
                Ok(changes) => notice.changes.extend_from_slice(&changes),
                Err(TryRecvError::Lagged(_)) => notice.changes.push(Change::Everything),
                // That it is over is told by the next call.
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        Ok(notice)
    }
}

/// The store is gone, and with it the subscription.
pub(super) fn over() -> BackendError {
    BackendError::Unavailable("the store that told its changes was closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    fn purge(name: &str) -> Change {
        Change::User(UserId::from_stored(name))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_complete_and_empty() {
        let hub = Hub::default();
        let mut listener = hub.listen();
        let expected = Notice { changes: Vec::new(), is_complete: true };
        assert_eq!(listener.next().await.unwrap(), expected);
    }

    #[tokio::test]
    async fn all_that_was_told_comes_at_once_and_in_order() {
        let hub = Hub::default();
        let mut listener = hub.listen();
        for name in ["a", "b", "c"] {
            hub.tell(|| vec![purge(name)]);
        }
        let notice = listener.next().await.unwrap();
        assert_eq!(notice.changes, [purge("a"), purge("b"), purge("c")]);
        assert!(notice.is_complete);
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_that_everything_changed() {
        let hub = Hub::default();
        let mut listener = hub.listen();
        for _ in 0..=BACKLOG {
            hub.tell(|| vec![purge("a")]);
        }
        assert_eq!(listener.next().await.unwrap().changes[0], Change::Everything);
    }

    #[tokio::test]
    async fn a_listener_hears_when_the_store_is_gone() {
        let hub = Hub::default();
        let mut listener = hub.listen();
        hub.tell(|| vec![purge("a")]);
        drop(hub);
        assert_eq!(listener.next().await.unwrap().changes, [purge("a")]);
        assert!(listener.next().await.is_err());
    }
}
