//! The upgrade of a store from version 1 of the layout, and the check of the current one.
//!
//! The upgrade can be interrupted and repeated. Records that are written meanwhile keep their entries:
//! each transaction requires that its records have not changed.

use crate::backend::{BackendError, contract::MAX_DIFFERENCES};

use super::error::EtcdError;
use super::keys::{end_of_prefix, key_after};
use super::read;
use super::record::{self, MAX_ATTEMPTS, MAX_OPERATIONS, backoff};
use super::store::Store;
use super::wire::{KeyValue, Range, RangeAnswer, Txn};

/// How many records are read in one call.
const SCAN_CHUNK: usize = 1_000;

/// How many records are checked at once. Each has five entries at most, and two of an earlier
/// release.
const CHECK_CHUNK: usize = MAX_OPERATIONS / 8;

/// How many records one transaction can rewrite.
const REWRITE_CHUNK: usize = MAX_OPERATIONS / 2;

/// Adds the entries that version 1 lacks, and removes those that only version 1 has.
pub(super) async fn rewrite_entries(store: &Store) -> Result<(), BackendError> {
    let prefix = store.keys.record("");
    let (mut start, end) = (prefix.clone(), end_of_prefix(&prefix));
    loop {
        let scan = store.scan(&prefix, start, end.clone(), SCAN_CHUNK).await?;
        let Some(last) = scan.entries.last() else { return Ok(()) };
        start = key_after(&last.key.0);
        let id = |entry: &KeyValue| read::text_after(entry, prefix.len());
        let ids = scan.entries.iter().map(id).collect::<Result<Vec<_>, _>>()?;
        for ids in ids.chunks(REWRITE_CHUNK) {
            rewrite_some(store, ids).await?;
        }
    }
}

/// Looks for the entries of all records; returns a line for each one that is missing, or that only
/// version 1 has.
pub(super) async fn check_entries(store: &Store) -> Result<Vec<String>, BackendError> {
    let prefix = store.keys.record("");
    let (mut start, end) = (prefix.clone(), end_of_prefix(&prefix));
    let mut wrong = Vec::new();
    loop {
        let scan = store.scan(&prefix, start, end.clone(), SCAN_CHUNK).await?;
        let Some(last) = scan.entries.last().filter(|_| wrong.len() < MAX_DIFFERENCES) else {
            wrong.truncate(MAX_DIFFERENCES);
            return Ok(wrong);
        };
        start = key_after(&last.key.0);
        let id = |entry: &KeyValue| read::text_after(entry, prefix.len());
        let ids = scan.entries.iter().map(id).collect::<Result<Vec<_>, _>>()?;
        for ids in ids.chunks(CHECK_CHUNK) {
            check_some(store, ids, &mut wrong).await?;
        }
    }
}

async fn check_some(
    store: &Store,
    ids: &[String],
    wrong: &mut Vec<String>,
) -> Result<(), BackendError> {
    let (mut checked, mut ranges) = (Vec::new(), Vec::new());
    for (id, found) in ids.iter().zip(read::records(store, ids, 0).await?) {
        // Lists report a record that cannot be read.
        let Some(Ok(found)) = found.as_ref().map(record::decode) else { continue };
        let entries = store.keys.entries(&found.credential);
        ranges.push(Range { keys_only: true, ..Range::of(store.keys.record(id)) });
        ranges.extend(entries.iter().map(|entry| Range::of(entry.key.clone())));
        let former = store.keys.former(&found.credential);
        ranges.extend(former.iter().cloned().map(Range::of));
        checked.push((id, found.mod_revision, entries, former));
    }
    if ranges.is_empty() {
        return Ok(());
    }
    let mut answers = store.client.read(ranges).await?.ranges().map(RangeAnswer::one);
    for (id, revision, entries, former) in checked {
        let is_unchanged = answers.next().flatten().is_some_and(|it| it.mod_revision == revision);
        for entry in entries {
            let there = answers.next().flatten();
            if is_unchanged && there.is_none_or(|there| there.value.0 != entry.value) {
                let key = String::from_utf8_lossy(&entry.key);
                wrong.push(format!("{id}: the entry {key:?} is missing or wrong"));
            }
        }
        for key in former {
            if answers.next().flatten().is_some() && is_unchanged {
                let key = String::from_utf8_lossy(&key);
                wrong.push(format!("{id}: the entry {key:?} is of an earlier release"));
            }
        }
    }
    Ok(())
}

async fn rewrite_some(store: &Store, ids: &[String]) -> Result<(), BackendError> {
    for attempt in 0..MAX_ATTEMPTS {
        backoff(attempt).await;
        let mut txn = Txn::default();
        for (id, found) in ids.iter().zip(read::records(store, ids, 0).await?) {
            let Some(stored) = found else { continue };
            txn.require(store.keys.record(id), stored.mod_revision);
            match record::decode(&stored) {
                Ok(found) if found.credential.access_key.is_some() => {
                    for key in store.keys.former(&found.credential) {
                        txn.delete(key);
                    }
                }
                // A record that cannot be read is listed, so that lists report it.
                _ => txn.put(store.keys.listed_by_id(id), id.as_bytes()),
            }
        }
        if store.client.txn(&txn).await?.answer.succeeded {
            return Ok(());
        }
    }
    Err(EtcdError::contended().into())
}
