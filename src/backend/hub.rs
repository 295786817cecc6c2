//! Reports the changes that this process makes to the subscriptions in it.

use std::sync::Arc;

use tokio::{
    sync::broadcast::{self, error::TryRecvError},
    time::timeout,
};

use super::error::BackendError;
use super::feed::{Change, MAX_FEED_WAIT, Notice};

/// How many reports wait for a listener. A slower one receives [`Change::Everything`].
const BACKLOG: usize = 1_024;

/// Sends changes to listeners. A clone sends to the same listeners.
#[derive(Clone, Debug)]
pub(super) struct Hub(broadcast::Sender<Arc<[Change]>>);

impl Hub {
    /// Reports changes that were made and whose calls have not returned yet. Listeners receive
    /// them in the order of the calls.
    pub(super) fn report(&self, changes: impl FnOnce() -> Vec<Change>) {
        if self.0.receiver_count() > 0 {
            // Fails only if the last listener has gone meanwhile.
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

/// A subscription to a [`Hub`].
#[derive(Debug)]
pub(super) struct Listener(broadcast::Receiver<Arc<[Change]>>);

impl Listener {
    /// Waits at most [`MAX_FEED_WAIT`] for changes. The notice is always complete.
    pub(super) async fn next(&mut self) -> Result<Notice, BackendError> {
        let mut notice = Notice { changes: Vec::new(), is_complete: true };
        let first = timeout(MAX_FEED_WAIT, self.0.recv()).await;
        match first {
            Err(_elapsed) => {}
            Ok(Ok(changes)) => notice.changes.extend_from_slice(&changes),
            Ok(Err(broadcast::error::RecvError::Lagged(_))) => {
                notice.changes.push(Change::Everything);
            }
            Ok(Err(broadcast::error::RecvError::Closed)) => return Err(closed()),
        }
        // Only what waits now: more may arrive all the time.
        for _ in 0..self.0.len() {
            match self.0.try_recv() {
                Ok(changes) => notice.changes.extend_from_slice(&changes),
                Err(TryRecvError::Lagged(_)) => notice.changes.push(Change::Everything),
                // The next call returns the error.
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        Ok(notice)
    }
}

/// The error of a subscription whose store was closed.
pub(super) fn closed() -> BackendError {
    BackendError::Unavailable("the store was closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    fn purge(name: &str) -> Change {
        Change::User(UserId::from_stored(name))
    }

    #[tokio::test(start_paused = true)]
    async fn idle_feed_is_complete_and_empty() {
        let hub = Hub::default();
        let mut listener = hub.listen();
        let expected = Notice { changes: Vec::new(), is_complete: true };
        assert_eq!(listener.next().await.unwrap(), expected);
    }

    #[tokio::test]
    async fn waiting_changes_arrive_together_and_in_order() {
        let hub = Hub::default();
        let mut listener = hub.listen();
        for name in ["a", "b", "c"] {
            hub.report(|| vec![purge(name)]);
        }
        let notice = listener.next().await.unwrap();
        assert_eq!(notice.changes, [purge("a"), purge("b"), purge("c")]);
        assert!(notice.is_complete);
    }

    #[tokio::test]
    async fn slow_listener_receives_everything_changed() {
        let hub = Hub::default();
        let mut listener = hub.listen();
        for _ in 0..=BACKLOG {
            hub.report(|| vec![purge("a")]);
        }
        assert_eq!(listener.next().await.unwrap().changes[0], Change::Everything);
    }

    #[tokio::test]
    async fn listener_fails_when_the_store_is_closed() {
        let hub = Hub::default();
        let mut listener = hub.listen();
        hub.report(|| vec![purge("a")]);
        drop(hub);
        assert_eq!(listener.next().await.unwrap().changes, [purge("a")]);
        assert!(listener.next().await.is_err());
    }
}
