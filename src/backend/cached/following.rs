//! Following a change feed, for as long as the cache lives.

use std::{
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use tokio::time::{sleep, timeout};

use super::lookup::Inner;
use super::vouched::TRUST;
use super::writes::Partition;
use crate::backend::{
    BackendError,
    contract::{Change, ChangeFeed, Changes, Notice},
};
use crate::log;

/// The first pause before a broken feed is subscribed to again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The timeout of a subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Follows the feed until the cache is dropped.
pub(super) async fn follow<B, F: ChangeFeed>(cache: Weak<Inner<B>>, feed: F) {
    let mut pause = PAUSE;
    let mut was_logged = false;
    loop {
        let mut lasted = None;
        let error = match subscribe(&cache, &feed).await {
            Ok(Some(changes)) => match listen(&cache, changes, &mut lasted).await {
                Some(error) => error,
                None => return,
            },
            Ok(None) => return,
            Err(error) => error,
        };
        if let Some(lasted) = lasted {
            was_logged = false;
            // Each reconnect causes new lookups of all keys: a feed that comes and goes is
            // retried less and less often.
            if lasted >= LONGEST_PAUSE {
                pause = PAUSE;
            }
        }
        let Some(inner) = cache.upgrade() else { return };
        if inner.memory.vouched.end() {
            inner.counts.breaks.fetch_add(1, Relaxed);
        }
        if !was_logged {
            let (cause, ttl) = (log::cause(&error), inner.settings.ttl);
            tracing::warn!(%error, cause, ?ttl, "the change feed of the credential store is broken; cached keys are served for their ttl");
            was_logged = true;
        }
        drop(inner);
        // Jittered: other processes lost the same feed at the same time.
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Subscribes; returns `None` if the cache was dropped.
async fn subscribe<B, F: ChangeFeed>(
    cache: &Weak<Inner<B>>,
    feed: &F,
) -> Result<Option<Box<dyn Changes>>, BackendError> {
    if cache.strong_count() == 0 {
        return Ok(None);
    }
    timeout(SUBSCRIBE_TIMEOUT, feed.subscribe()).await.map_err(|_| too_slow())?.map(Some)
}

/// Follows the feed until it breaks; returns the error, or `None` if the cache was dropped.
/// Sets `lasted` to the time between the first and the last complete notice.
async fn listen<B>(
    cache: &Weak<Inner<B>>,
    mut changes: Box<dyn Changes>,
    lasted: &mut Option<Duration>,
) -> Option<BackendError> {
    let mut began: Option<SystemTime> = None;
    loop {
        let asked_at = cache.upgrade()?.clock.now();
        // A silent feed is useless after this time: it vouches for nothing any more.
        let notice = match timeout(TRUST, changes.next()).await {
            Ok(Ok(notice)) => notice,
            Ok(Err(error)) => return Some(error),
            Err(_elapsed) => return Some(too_slow()),
        };
        let inner = cache.upgrade()?;
        inner.apply(&notice);
        if notice.is_complete {
            if began.is_none() {
                // Earlier lookups may have missed a change that was not reported.
                inner.memory.writes.count_everywhere();
                tracing::info!("the change feed of the credential store is connected");
            }
            let began = *began.get_or_insert(asked_at);
            *lasted = Some(asked_at.duration_since(began).unwrap_or_default());
            inner.memory.renew(asked_at);
        }
    }
}

impl<B> Inner<B> {
    /// Invalidates the entries of changed records.
    fn apply(self: &Arc<Self>, notice: &Notice) {
        let writes = &self.memory.writes;
        let partitions: Option<Vec<_>> =
            notice.changes.iter().map(|it| self.partitions(it)).collect();
        match partitions {
            None => writes.count_everywhere(),
            Some(partitions) if partitions.is_empty() => {}
            Some(partitions) => writes.count(partitions.as_flattened()),
        }
        self.counts.changes.fetch_add(notice.changes.len() as u64, Relaxed);
    }

    /// The partitions of a change; both may be the same. `None` means all partitions.
    fn partitions(&self, change: &Change) -> Option<[Partition; 2]> {
        let writes = &self.memory.writes;
        Some(match change {
            Change::Project(id) => [writes.project(id); 2],
            Change::Record { id, access_key } => {
                let record = writes.record(id);
                [record, access_key.as_ref().map_or(record, |key| writes.access_key(key))]
            }
            Change::User(id) => [writes.user(id); 2],
            Change::Everything => return None,
        })
    }
}

fn too_slow() -> BackendError {
    BackendError::Unavailable("the change feed timed out".into())
}
