//! Lookups and lists.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::backend::{BackendError, ListQuery, Order, Page, access_key_marker};
use crate::domain::{AccessKey, Credential, CredentialId, Slot, UserId};

use super::error::{CorruptKey, EtcdError, EtcdErrorKind};
use super::keys::key_after;
use super::record::{self, Found};
use super::store::Store;
use super::wire::{KeyValue, Range, RangeAnswer};

/// How many records are read in one call.
const READ_CHUNK: usize = 100;

/// How often an entry may change while its record is read.
const MAX_GUESSES: usize = 16;

/// How many records a list reads before their size is known.
const FIRST_READ: usize = 12;

/// How many calls for records a list makes at once.
const MAX_CALLS: usize = 5;

/// Finds the record with this id.
pub(super) async fn record(
    store: &Store,
    id: &CredentialId,
) -> Result<Option<Found>, BackendError> {
    let answer = store.client.range(&Range::of(store.keys.record(id.as_str()))).await?;
    answer.one().as_ref().map(record::decode).transpose()
}

/// Finds the record with this access key.
///
/// Takes one call, because the id of nearly all records is derived from the access key. Only a
/// record whose access key was replaced takes a second call.
pub(super) async fn by_access_key(
    store: &Store,
    access_key: &AccessKey,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let entry = store.keys.access_key(access_key.as_str());
    follow(store, entry, CredentialId::of(access_key).as_str().into()).await
}

/// Finds the record in a user's slot, in two calls.
pub(super) async fn by_slot(
    store: &Store,
    user_id: &UserId,
    slot: Slot,
) -> Result<Option<Arc<Credential>>, BackendError> {
    follow(store, store.keys.slot(user_id, slot), String::new()).await
}

/// Finds the record that an entry points to. The id is guessed.
///
/// The entry and the record are read at the same revision. If the entry has another id, that is
/// the next guess.
async fn follow(
    store: &Store,
    entry: Vec<u8>,
    mut guess: String,
) -> Result<Option<Arc<Credential>>, BackendError> {
    for _ in 0..MAX_GUESSES {
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
    Err(EtcdError::contended().into())
}

/// Returns the id that an entry points to.
pub(super) fn id_in(entry: &KeyValue) -> Result<String, BackendError> {
    let id = str::from_utf8(&entry.value.0);
    id.map(Into::into).map_err(|_| CorruptKey::new(&entry.key.0, "the id").into())
}

/// Returns the id of the record that an entry of a list points to.
pub(super) fn id_of(entry: &KeyValue, prefix: usize) -> Result<String, BackendError> {
    if !entry.value.0.is_empty() {
        return id_in(entry);
    }
    let marker = text_after(entry, prefix)?;
    let id = marker.strip_prefix(BY_ID).map(Into::into);
    id.ok_or_else(|| CorruptKey::new(&entry.key.0, "the id").into())
}

/// The first character of the markers of records without an access key.
const BY_ID: char = 'i';

/// Returns the text after the first bytes of an entry's key.
pub(super) fn text_after(entry: &KeyValue, bytes: usize) -> Result<String, BackendError> {
    let text = entry.key.0.get(bytes..).and_then(|rest| str::from_utf8(rest).ok());
    text.map(Into::into).ok_or_else(|| CorruptKey::new(&entry.key.0, "the end").into())
}

/// Reads the records with these ids at a revision; 0 is the latest. Takes one call, unless the
/// records are long.
pub(super) async fn records(
    store: &Store,
    ids: &[String],
    revision: i64,
) -> Result<Vec<Option<KeyValue>>, EtcdError> {
    let mut records = Vec::with_capacity(ids.len());
    let mut chunk = READ_CHUNK;
    while records.len() < ids.len() {
        let rest = &ids[records.len()..];
        let some = &rest[..chunk.min(rest.len())];
        let range = |id: &String| Range::of(store.keys.record(id)).at(revision);
        match store.client.read(some.iter().map(range)).await {
            Ok(answer) => {
                let before = records.len();
                records.extend(answer.ranges().map(RangeAnswer::one));
                if records.len() != before + some.len() {
                    return Err(EtcdError::unexpected(
                        "etcd's answer does not have one result per range",
                    ));
                }
            }
            Err(error) if error.is(EtcdErrorKind::TooLarge) && some.len() > 1 => {
                chunk = some.len() / 2;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

/// Reads one page. All records are of the revision at the start, unless etcd has compacted it.
pub(super) async fn list(store: &Arc<Store>, query: &ListQuery) -> Result<Page, BackendError> {
    let (prefix, last) = store.keys.listed(query);
    let marker = |marker: &Option<String>| {
        let marker = marker.as_deref().filter(|marker| !marker.is_empty())?;
        Some([&*prefix, marker.as_bytes()].concat())
    };
    // All entries are behind this one. A scan from there reads narrow ranges.
    let first = match query.order {
        Order::ExpiresAt => prefix.clone(),
        Order::Key => [&*prefix, access_key_marker("").as_bytes()].concat(),
    };
    let start = marker(&query.after).map_or(first, |after| key_after(&after));
    let end = marker(&query.before).unwrap_or_else(|| last.clone()).min(last);
    if start >= end {
        return Ok(Page::default());
    }
    // If the entries alone select the records, no more are examined than the page can hold.
    let is_by_expiry = query.order == Order::ExpiresAt;
    let owners = usize::from(query.user_id.is_some()) + usize::from(query.project_id.is_some());
    let is_selected = query.kind.is_none() && owners <= usize::from(!is_by_expiry);
    let examined = if is_selected { query.limit() } else { ListQuery::MAX_EXAMINED };
    let scan = store.scan(&prefix, start, end, examined + 1).await?;

    let mut items = Vec::with_capacity(scan.entries.len());
    for entry in &scan.entries {
        items.push(Item::of(entry, prefix.len())?);
    }
    // `None` if etcd has compacted the revision. The latest state is as good, but records may
    // have moved since.
    let mut revision = scan.is_consistent.then_some(scan.revision);
    let (mut page, mut bytes) = (Page::default(), 0);
    let (mut read, mut bytes_read) = (0, 0);
    while read < items.len() {
        let some = &items[read..items.len().min(read + next_read(read, bytes_read))];
        let mut found = records_of(store, some, revision).await;
        if found.as_ref().is_err_and(|error| error.is(EtcdErrorKind::Compacted)) {
            revision = None;
            found = records_of(store, some, revision).await;
        }
        let first = read;
        read += some.len();
        for (index, (item, found)) in some.iter().zip(found?).enumerate() {
            if first + index == ListQuery::MAX_EXAMINED {
                page.next = Some(items[first + index - 1].marker.clone());
                return Ok(page);
            }
            bytes_read += found.as_ref().map_or(0, |found| found.value.0.len());
            let Some(found) = found else {
                // Earlier releases leave some entries of a record that they delete.
                let may_remain = is_by_expiry || item.marker.starts_with(BY_ID);
                if revision.is_none() || may_remain {
                    continue;
                }
                return Err(CorruptKey::new(item.marker.as_bytes(), "the record").into());
            };
            let Some(credential) = record::decode_matching(&found, query)? else { continue };
            if query.order.marker(&credential).as_deref() != Some(&*item.marker) {
                continue;
            }
            if query.is_full(page.credentials.len(), bytes) {
                let last = page.credentials.last();
                page.next = last.and_then(|last| query.order.marker(last));
                return Ok(page);
            }
            bytes += credential.size();
            page.credentials.push(credential);
        }
    }
    if items.len() > examined {
        // The page is short because of records that were deleted meanwhile. More follow.
        page.next = items.last().map(|last| last.marker.clone());
    }
    Ok(page)
}

/// How many records to read next, after `read` records of `bytes` bytes in total: as many as are
/// likely to have twice the size of a page.
fn next_read(read: usize, bytes: usize) -> usize {
    match read {
        0 => FIRST_READ,
        _ => (2 * ListQuery::MAX_BYTES / (bytes / read).max(1)).clamp(1, READ_CHUNK * MAX_CALLS),
    }
}

/// An entry of the listed index.
struct Item {
    marker: String,
    id: String,
}

impl Item {
    fn of(entry: &KeyValue, prefix: usize) -> Result<Self, BackendError> {
        Ok(Self { marker: text_after(entry, prefix)?, id: id_of(entry, prefix)? })
    }
}

/// Reads the records of these items at a revision or the latest one, with several concurrent
/// calls.
async fn records_of(
    store: &Arc<Store>,
    items: &[Item],
    revision: Option<i64>,
) -> Result<Vec<Option<KeyValue>>, EtcdError> {
    let mut calls = JoinSet::new();
    for (nth, some) in items.chunks(READ_CHUNK).enumerate() {
        let revision = revision.unwrap_or_default();
        let ids: Vec<_> = some.iter().map(|item| item.id.clone()).collect();
        let store = Arc::clone(store);
        calls.spawn(async move { (nth, records(&store, &ids, revision).await) });
    }
    let mut parts = Vec::new();
    while let Some(call) = calls.join_next().await {
        let (nth, part) = call.map_err(|_| EtcdError::unexpected("a read was aborted"))?;
        parts.push((nth, part?));
    }
    parts.sort_unstable_by_key(|(nth, _)| *nth);
    Ok(parts.into_iter().flat_map(|(_, part)| part).collect())
}
