//! The change feed: every write also writes its changes to one key, which subscriptions watch.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::backend::{
    BackendError,
    contract::{Change, Changes, MAX_FEED_WAIT, Notice},
};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, UserId};

use super::error::{EtcdError, EtcdErrorKind};
use super::keys::Keys;
use super::store::Store;
use super::wire::{Range, Txn, WatchResult, Watched};

/// How long etcd may take to deliver all changes up to now.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum length of a line of a watch, in bytes.
const MAX_LINE: usize = 4 << 20;

/// The stored form of a [`Change`]. Its tags and members are on disk: add new ones, never rename
/// one.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum StoredChange {
    Everything(()),
    Project(String),
    Record { id: String, key: Option<String> },
    User(String),
}

/// Adds the changes of a transaction to it.
pub(super) fn add_changes(keys: &Keys, txn: &mut Txn, changes: &[Change]) {
    let stored: Vec<_> = changes.iter().map(StoredChange::of).collect();
    let text = serde_json::to_vec(&stored).expect("structs with text keys always serialize");
    txn.put(keys.change(), text);
}

/// Adds the changes of written records to a transaction.
pub(super) fn add_written<'a>(
    keys: &Keys,
    txn: &mut Txn,
    records: impl IntoIterator<Item = &'a Credential>,
) {
    let changes: Vec<_> = records.into_iter().map(Change::written).collect();
    add_changes(keys, txn, &changes);
}

impl StoredChange {
    fn of(change: &Change) -> Self {
        match change {
            Change::Everything => Self::Everything(()),
            Change::Project(id) => Self::Project(id.as_str().into()),
            Change::Record { id, access_key } => Self::Record {
                id: id.as_str().into(),
                key: access_key.as_ref().map(|key| key.as_str().into()),
            },
            Change::User(id) => Self::User(id.as_str().into()),
        }
    }

    fn change(self) -> Change {
        match self {
            Self::Everything(()) => Change::Everything,
            Self::Project(id) => Change::Project(ProjectId::from_stored(id)),
            Self::Record { id, key } => Change::Record {
                id: CredentialId::from_stored(id),
                access_key: key.map(AccessKey::from_stored),
            },
            Self::User(id) => Change::User(UserId::from_stored(id)),
        }
    }
}

/// Decodes changes. An unknown change, such as one of a later release, is decoded as
/// [`Change::Everything`].
fn changes_in(value: &[u8]) -> Vec<Change> {
    match serde_json::from_slice::<Vec<StoredChange>>(value) {
        Ok(stored) => stored.into_iter().map(StoredChange::change).collect(),
        Err(_) => vec![Change::Everything],
    }
}

/// A watch of the key. Reads of the key show how far the watch must get.
pub(super) struct Subscription {
    store: Arc<Store>,
    watch: Incoming,
    /// The received part of the next lines.
    buffer: Vec<u8>,
    /// All changes up to this revision were reported.
    reported: i64,
    /// Whether the initial [`Change::Everything`] was reported.
    is_started: bool,
    ticks: Interval,
}

/// Starts a subscription.
pub(super) async fn subscribe(store: &Arc<Store>) -> Result<Subscription, EtcdError> {
    let started = async {
        let key = store.keys.change();
        let now = store.client.range(&Range::of(key.clone())).await?.header.revision;
        let watch = store.client.watch(key, now + 1).await?;
        let mut ticks = interval(MAX_FEED_WAIT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut subscription = Subscription {
            store: Arc::clone(store),
            watch,
            buffer: Vec::new(),
            reported: now,
            is_started: false,
            ticks,
        };
        while !subscription.next_result().await?.created {}
        Ok(subscription)
    };
    // The first answer to a watch may take as long as a call.
    let limit = store.client.timeout();
    timeout(limit, started).await.unwrap_or_else(|_| Err(EtcdError::timed_out()))
}

#[async_trait]
impl Changes for Subscription {
    async fn next(&mut self) -> Result<Notice, BackendError> {
        loop {
            if self.is_tick().await {
                return Ok(self.complete().await?);
            }
            let result = self.next_result().await?;
            let changes = self.take(result);
            if !changes.is_empty() {
                return Ok(Notice { changes, is_complete: false });
            }
        }
    }
}

impl Subscription {
    /// Reports all changes up to now that were not reported yet.
    async fn complete(&mut self) -> Result<Notice, EtcdError> {
        let reported = async {
            let latest = self.latest().await?;
            let mut changes = Vec::new();
            if !self.is_started {
                // A write from before the watch may return to its caller after it.
                changes.push(Change::Everything);
            }
            while self.reported < latest {
                let result = self.next_result().await?;
                changes.extend(self.take(result));
            }
            self.is_started = true;
            Ok(Notice { changes, is_complete: true })
        };
        timeout(DELIVERY_TIMEOUT, reported).await.unwrap_or_else(|_| Err(EtcdError::timed_out()))
    }

    /// Waits for the next tick or for data. Returns whether it is the tick.
    async fn is_tick(&mut self) -> bool {
        let has_line = self.buffer.contains(&b'\n');
        poll_fn(|context| {
            if self.ticks.poll_tick(context).is_ready() {
                return Poll::Ready(true);
            }
            if has_line {
                return Poll::Ready(false);
            }
            // Data goes to the buffer. The end of the watch shows at the next read.
            let frame = ready!(Pin::new(&mut self.watch).poll_frame(context));
            if let Some(Ok(frame)) = frame {
                append(&mut self.buffer, frame);
            }
            Poll::Ready(false)
        })
        .await
    }

    /// Returns the revision that last wrote the key.
    async fn latest(&self) -> Result<i64, EtcdError> {
        let range = Range::of(self.store.keys.change()).keys_only();
        let found = self.store.client.range(&range).await?.one();
        Ok(found.map_or(0, |found| found.mod_revision))
    }

    fn take(&mut self, result: WatchResult) -> Vec<Change> {
        let mut changes = Vec::new();
        for event in result.events {
            self.reported = self.reported.max(event.kv.mod_revision);
            changes.extend(changes_in(&event.kv.value.0));
        }
        changes
    }

    /// Returns the next result of the watch.
    async fn next_result(&mut self) -> Result<WatchResult, EtcdError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.buffer.drain(..=end).collect();
                let watched: Watched = serde_json::from_slice(&line).map_err(|_| {
                    EtcdError::unexpected("etcd's watch sent a line that is not a watch response")
                })?;
                return match watched.result {
                    Some(result) if !result.canceled => Ok(result),
                    _ => Err(ended("etcd canceled the watch")),
                };
            }
            if self.buffer.len() > MAX_LINE {
                return Err(EtcdError::new(
                    EtcdErrorKind::TooLarge,
                    "etcd's watch sent a line that is too long",
                ));
            }
            let frame = poll_fn(|context| Pin::new(&mut self.watch).poll_frame(context)).await;
            match frame {
                Some(Ok(frame)) => append(&mut self.buffer, frame),
                Some(Err(error)) => {
                    return Err(ended("the watch lost its connection to etcd").with_source(error));
                }
                None => return Err(ended("etcd closed the watch")),
            }
        }
    }
}

/// Appends the data of a frame.
fn append(buffer: &mut Vec<u8>, frame: Frame<Bytes>) {
    if let Ok(data) = frame.into_data() {
        buffer.extend_from_slice(&data);
    }
}

fn ended(message: &'static str) -> EtcdError {
    EtcdError::new(EtcdErrorKind::ConnectionLost, message)
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("reported", &self.reported).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_round_trip_and_unknown_ones_are_decoded_as_everything() {
        let changes = [
            Change::Everything,
            Change::Project(ProjectId::from_stored("p")),
            Change::Record {
                id: CredentialId::from_stored("i"),
                access_key: Some(AccessKey::from_stored("a")),
            },
            Change::deleted(CredentialId::from_stored("\"i\"")),
            Change::User(UserId::from_stored("u")),
        ];
        let stored: Vec<_> = changes.iter().map(StoredChange::of).collect();
        assert_eq!(changes_in(&serde_json::to_vec(&stored).unwrap()), changes);
        for other in ["", "[{\"renamed\":\"x\"}]", "{}"] {
            assert_eq!(changes_in(other.as_bytes()), [Change::Everything], "{other:?}");
        }
    }
}
