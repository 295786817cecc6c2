//! What changes, as it happens: every write also puts one key, which subscriptions watch.

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

use crate::backend::{BackendError, Change, Changes, Notice, PULSE};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, UserId};

use super::Store;
use super::error::{Trouble, TroubleKind};
use super::keys::Keys;
use super::wire::{Range, Txn, WatchResult, Watched};

/// How long etcd may take to say what it knows before it counts as out of reach.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest line of a watch, in bytes.
const MAX_LINE: usize = 4 << 20;

/// The stored form of a [`Change`]. Its tags and members are on disk: add, never rename.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    Everything(()),
    Project(String),
    Record { id: String, key: Option<String> },
    User(String),
}

/// Adds to a transaction what it changes.
pub(super) fn tell(keys: &Keys, txn: &mut Txn, changes: &[Change]) {
    let told: Vec<_> = changes.iter().map(Told::of).collect();
    let text = serde_json::to_vec(&told).expect("texts always serialise");
    txn.put(keys.change(), text);
}

/// Adds to a transaction that these records are written.
pub(super) fn tell_written<'a>(
    keys: &Keys,
    txn: &mut Txn,
    records: impl IntoIterator<Item = &'a Credential>,
) {
    let changes: Vec<_> = records.into_iter().map(Change::written).collect();
    tell(keys, txn, &changes);
}

impl Told {
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

/// The changes that are written in a value; everything if it cannot be read, as when a
/// later release wrote it.
fn changes_in(value: &[u8]) -> Vec<Change> {
    match serde_json::from_slice::<Vec<Told>>(value) {
        Ok(told) => told.into_iter().map(Told::change).collect(),
        Err(_) => vec![Change::Everything],
    }
}

/// A watch of the key, and reads of it that tell whether the watch has come so far.
pub(super) struct Subscription {
    store: Arc<Store>,
    watch: Incoming,
    /// What came and is no whole line yet.
    line: Vec<u8>,
    /// All changes up to this revision have been told.
    told: i64,
    /// Whether it has been told that anything may have changed.
    is_begun: bool,
    pulse: Interval,
}

/// Starts a subscription.
pub(super) async fn subscribe(store: &Arc<Store>) -> Result<Subscription, Trouble> {
    let started = async {
        let key = store.keys.change();
        let now = store.client.range(&Range::of(key.clone())).await?.header.revision;
        let watch = store.client.watch(key, now + 1).await?;
        let mut pulse = interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut subscription = Subscription {
            store: Arc::clone(store),
            watch,
            line: Vec::new(),
            told: now,
            is_begun: false,
            pulse,
        };
        while !subscription.next_result().await?.created {}
        Ok(subscription)
    };
    // The answer to a watch that starts may take as long as that to any call.
    let limit = store.client.timeout();
    timeout(limit, started).await.unwrap_or_else(|_| Err(Trouble::timed_out()))
}

#[async_trait]
impl Changes for Subscription {
    async fn next(&mut self) -> Result<Notice, BackendError> {
        loop {
            if self.is_pulse().await {
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
    /// Tells all that is in the store by now and has not been told.
    async fn complete(&mut self) -> Result<Notice, Trouble> {
        let told = async {
            let latest = self.latest().await?;
            let mut changes = Vec::new();
            if !self.is_begun {
                // A write that was done before the watch began may be answered after it.
                changes.push(Change::Everything);
            }
            while self.told < latest {
                let result = self.next_result().await?;
                changes.extend(self.take(result));
            }
            self.is_begun = true;
            Ok(Notice { changes, is_complete: true })
        };
        timeout(PATIENCE, told).await.unwrap_or_else(|_| Err(Trouble::timed_out()))
    }

    /// Waits for the next pulse or for something to read: whether it is the pulse.
    async fn is_pulse(&mut self) -> bool {
        let has_line = self.line.contains(&b'\n');
        poll_fn(|context| {
            if self.pulse.poll_tick(context).is_ready() {
                return Poll::Ready(true);
            }
            if has_line {
                return Poll::Ready(false);
            }
            // What comes is kept in the line; an end shows at the next read.
            let frame = ready!(Pin::new(&mut self.watch).poll_frame(context));
            if let Some(Ok(frame)) = frame {
                keep(&mut self.line, frame);
            }
            Poll::Ready(false)
        })
        .await
    }

    /// When the key was last written.
    async fn latest(&self) -> Result<i64, Trouble> {
        let range = Range::of(self.store.keys.change()).keys_only();
        let found = self.store.client.range(&range).await?.one();
        Ok(found.map_or(0, |found| found.mod_revision))
    }

    fn take(&mut self, result: WatchResult) -> Vec<Change> {
        let mut changes = Vec::new();
        for event in result.events {
            self.told = self.told.max(event.kv.mod_revision);
            changes.extend(changes_in(&event.kv.value.0));
        }
        changes
    }

    /// What the watch says next.
    async fn next_result(&mut self) -> Result<WatchResult, Trouble> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.line.drain(..=end).collect();
                let watched: Watched = serde_json::from_slice(&line)
                    .map_err(|_| Trouble::unexpected("the watch says what no watch does"))?;
                return match watched.result {
                    Some(result) if !result.canceled => Ok(result),
                    _ => Err(ended("etcd ended the watch")),
                };
            }
            if self.line.len() > MAX_LINE {
                return Err(Trouble::new(TroubleKind::TooLarge, "a line of the watch is too long"));
            }
            let frame = poll_fn(|context| Pin::new(&mut self.watch).poll_frame(context)).await;
            match frame {
                Some(Ok(frame)) => keep(&mut self.line, frame),
                Some(Err(error)) => return Err(ended("the watch broke").with_source(error)),
                None => return Err(ended("the watch ended")),
            }
        }
    }
}

/// Adds what a frame holds to what is there.
fn keep(line: &mut Vec<u8>, frame: Frame<Bytes>) {
    if let Ok(data) = frame.into_data() {
        line.extend_from_slice(&data);
    }
}

fn ended(what: &'static str) -> Trouble {
    Trouble::new(TroubleKind::Broken, what)
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("told", &self.told).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_read_back_and_what_is_not_known_is_everything() {
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
        let told: Vec<_> = changes.iter().map(Told::of).collect();
        assert_eq!(changes_in(&serde_json::to_vec(&told).unwrap()), changes);
        for other in ["", "[{\"renamed\":\"x\"}]", "{}"] {
            assert_eq!(changes_in(other.as_bytes()), [Change::Everything], "{other:?}");
        }
    }
}
