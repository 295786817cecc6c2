//! Look-ups, and reads of many records.

use std::sync::Arc;

use crate::backend::BackendError;
use crate::domain::{AccessKey, Credential, CredentialId, Slot, UserId};

use super::Store;
use super::error::{CorruptKey, Trouble, TroubleKind};
use super::record::{self, Found};
use super::wire::{KeyValue, Range, RangeAnswer};

/// How many records are read in one trip at the most.
pub(super) const A_TRIP: usize = 100;

/// How often an entry may point to another record by the time that record is read.
const GUESSES: usize = 16;

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
    let entry = store.keys.access_key(access_key.as_str());
    pointed_at(store, entry, CredentialId::of(access_key).as_str().into()).await
}

/// The record in a user's slot, in two trips.
pub(super) async fn by_slot(
    store: &Store,
    user_id: &UserId,
    slot: Slot,
) -> Result<Option<Arc<Credential>>, BackendError> {
    pointed_at(store, store.keys.slot(user_id, slot), String::new()).await
}

/// The record whose id is the value of this entry, which is guessed at first.
///
/// Both are read in the same state. When it is another, the next guess is what was read.
async fn pointed_at(
    store: &Store,
    entry: Vec<u8>,
    mut guess: String,
) -> Result<Option<Arc<Credential>>, BackendError> {
    for _ in 0..GUESSES {
        let ranges = [entry.clone(), store.keys.record(&guess)].map(Range::of);
        let mut ranges = store.client.read(ranges).await?.ranges().map(RangeAnswer::one);
        let Some(found) = ranges.next().flatten() else { return Ok(None) };
        if found.value.0 == guess.as_bytes() {
            let record = ranges.next().flatten();
            let record = record.ok_or_else(|| CorruptKey::new(&entry, "the record"))?;
            return Ok(Some(record::decode(&record)?.credential));
        }
        guess = id_in(&found)?;
    }
    Err(Trouble::contended().into())
}

/// The id that is the value of an entry.
pub(super) fn id_in(entry: &KeyValue) -> Result<String, BackendError> {
    let id = str::from_utf8(&entry.value.0);
    id.map(Into::into).map_err(|_| CorruptKey::new(&entry.key.0, "the id").into())
}

/// What follows the first bytes of an entry's key.
pub(super) fn text_after(entry: &KeyValue, bytes: usize) -> Result<String, BackendError> {
    let text = entry.key.0.get(bytes..).and_then(|rest| str::from_utf8(rest).ok());
    text.map(Into::into).ok_or_else(|| CorruptKey::new(&entry.key.0, "the end").into())
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
                records.extend(answer.ranges().map(RangeAnswer::one));
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
