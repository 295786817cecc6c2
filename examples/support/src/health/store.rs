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
    /// When the feed was last seen to work, or the start.
    worked: Arc<Mutex<Instant>>,
}

impl FeedWatch {
    /// Starts to watch.
    pub(crate) fn start(keys: Keys) -> Self {
        let this = Self { keys, worked: Arc::new(Mutex::new(Instant::now())) };
        tokio::spawn(this.clone().watch());
        this
    }

    /// Every server shares the store. So a broken feed never makes a server unready: it would take
    /// all servers out at once.
    pub(crate) fn status(&self) -> Status {
        if self.keys.feed_lag().is_some() {
            return Status::Ok;
        }
        let worked = *self.worked.lock().unwrap_or_else(PoisonError::into_inner);
        Status::Degraded(format!(
            "not connected for {} s; changes by other processes take effect within {} s",
            worked.elapsed().as_secs(),
            self.keys.max_staleness().as_secs()
        ))
    }

    async fn watch(self) {
        loop {
            sleep(INTERVAL).await;
            if self.keys.feed_lag().is_some() {
                *self.worked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
        }
    }
}
