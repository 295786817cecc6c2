//! Look-ups, and reads of many records.

use std::sync::Arc;

use crate::backend::BackendError;
use crate::domain::{AccessKey, Credential, CredentialId, Slot, UserId};

use super::Store;
use super::error::{CorruptKey, Trouble, TroubleKind};
use super::record::{self, Found};
use super::wire::{KeyValue, Range};

/// How many records are read in one trip at the most.
pub(super) const A_TRIP: usize = 100;

/// How often a read is begun anew that took longer than etcd keeps what it read.
pub(super) const RESTARTS: usize = 3;

/// The record with this id.
pub(super) async fn record(
    store: &Store,
    id: &CredentialId,
) -> Result<Option<Found>, BackendError> {
    let answer = store.client.range(&Range::of(store.keys.record(id.as_str()))).await?;
    answer.one().as_ref().map(record::decode).transpose()
}

/// The record with this access key.
///
/// In one trip, since the id of nearly all records is that of the access key: both are
/// asked for, and only a record that got another access key needs a second question.
pub(super) async fn by_access_key(
    store: &Store,
    access_key: &AccessKey,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let guess = CredentialId::of(access_key);
    let entry = Range::of(store.keys.access_key(access_key.as_str()));
    let guessed = Range::of(store.keys.record(guess.as_str()));
    let answer = store.client.read([entry, guessed]).await?;
    let revision = answer.header.revision;
    let mut ranges = answer.ranges().map(|range| range.one());
    let Some(entry) = ranges.next().flatten() else { return Ok(None) };
    if entry.value.0 == guess.as_str().as_bytes() {
        return pointed_at(&entry, ranges.next().flatten().as_ref()).map(Some);
    }
    pointed_to(store, &entry, revision).await
}

/// The record in a user's slot.
pub(super) async fn by_slot(
    store: &Store,
    user_id: &UserId,
    slot: Slot,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let answer = store.client.range(&Range::of(store.keys.slot(user_id, slot))).await?;
    let revision = answer.header.revision;
    let Some(entry) = answer.one() else { return Ok(None) };
    pointed_to(store, &entry, revision).await
}

/// The record whose id is the value of an entry that was read at this revision.
async fn pointed_to(
    store: &Store,
    entry: &KeyValue,
    revision: i64,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let found = records(store, &[id_in(entry)?], revision).await?;
    pointed_at(entry, found.into_iter().next().flatten().as_ref()).map(Some)
}

fn pointed_at(entry: &KeyValue, found: Option<&KeyValue>) -> Result<Arc<Credential>, BackendError> {
    let found = found.ok_or_else(|| CorruptKey::new(&entry.key.0, "the record"))?;
    Ok(record::decode(found)?.credential)
}

/// The id that is the value of an entry.
pub(super) fn id_in(entry: &KeyValue) -> Result<String, BackendError> {
    let id = str::from_utf8(&entry.value.0);
    id.map(Into::into).map_err(|_| CorruptKey::new(&entry.key.0, "the id").into())
}

/// The records with these ids, as they were at this revision; 0 is the latest.
///
/// In one trip, unless they are long.
pub(super) async fn records(
    store: &Store,
    ids: &[String],
    revision: i64,
) -> Result<Vec<Option<KeyValue>>, Trouble> {
    let mut records = Vec::with_capacity(ids.len());
    let mut at_once = A_TRIP;
    while records.len() < ids.len() {
        let rest = &ids[records.len()..];
        let some = &rest[..at_once.min(rest.len())];
        let range = |id: &String| Range::of(store.keys.record(id)).at(revision);
        match store.client.read(some.iter().map(range)).await {
            Ok(answer) => {
                let before = records.len();
                records.extend(answer.ranges().map(|range| range.one()));
                if records.len() != before + some.len() {
                    return Err(Trouble::unexpected("etcd's answer has too few parts"));
                }
            }
            Err(trouble) if trouble.is(TroubleKind::TooLarge) && some.len() > 1 => {
                at_once = some.len() / 2;
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(records)
}
