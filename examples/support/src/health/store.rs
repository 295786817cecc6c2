//! The checks of the store and of its change feed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower_credentials::{
    backend::{BackendError, CredentialBackend},
    domain::AccessKey,
};

use super::Status;
use crate::backend::Keys;

/// An access key that nobody has.
const NOBODY: &str = "readiness-check";

/// How often the feed is examined.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks up a key in the store itself, past the cache.
pub(crate) async fn check_store(store: Arc<dyn CredentialBackend>) -> Status {
    match store.find_by_access_key(&AccessKey::from_stored(NOBODY)).await {
        Ok(_) => Status::Ok,
        Err(BackendError::Unavailable(_)) => Status::Failed("the store is unavailable".into()),
        Err(_) => Status::Failed("a lookup failed".into()),
    }
}

/// Watches the change feed of a store.
#[derive(Clone)]
pub(crate) struct FeedWatch {
    keys: Keys,
    /// Since when the feed is broken.
    broken: Arc<Mutex<Option<Instant>>>,
}

impl FeedWatch {
    /// Starts to watch.
    pub(crate) fn start(keys: Keys) -> Self {
        let this = Self { keys, broken: Arc::default() };
        tokio::spawn(this.clone().watch());
        this
    }

    /// Every server shares the store. So a broken feed never makes a server unready: it would take
    /// all servers out at once.
    pub(crate) fn status(&self) -> Status {
        let broken = *self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        match broken {
            None => Status::Ok,
            Some(since) => Status::Degraded(format!(
                "broken for {} s; changes by other processes take effect within {} s",
                since.elapsed().as_secs(),
                self.keys.max_staleness().as_secs()
            )),
        }
    }

    async fn watch(self) {
        loop {
            // Before the first look, the feed has time to connect.
            sleep(INTERVAL).await;
            let is_broken = self.keys.feed_lag().is_none();
            let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
            *broken = if is_broken { Some(broken.unwrap_or_else(Instant::now)) } else { None };
        }
    }
}
