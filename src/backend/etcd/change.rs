//! Updates and deletes.

use std::{collections::BTreeMap, sync::Arc};

use crate::backend::{BackendError, contract::Change};
use crate::domain::{Credential, CredentialId, UserId, Version};

use super::counters::CounterUpdate;
use super::error::EtcdError;
use super::feed;
use super::read;
use super::record::{Draft, Found, MAX_ATTEMPTS, backoff};
use super::store::Store;
use super::wire::{Range, RangeAnswer, Txn};

/// Replaces a record if it has this version.
pub(super) async fn update(
    store: &Store,
    next: &Arc<Credential>,
    expected: Version,
) -> Result<bool, BackendError> {
    let draft = Draft::new(&store.keys, next)?;
    let mut is_outcome_unknown = false;
    for attempt in 0..MAX_ATTEMPTS {
        backoff(attempt).await;
        let found = read::record(store, &next.id).await?;
        let current = match found {
            Some(found) if found.credential.version == expected => found,
            Some(found) if is_outcome_unknown && found.credential == *next => return Ok(true),
            _ if is_outcome_unknown => return Err(EtcdError::outcome_unknown().into()),
            _ => return Ok(false),
        };
        let moves = moves(&current.credential, next);
        let mut counters = CounterUpdate::lock(&store.users, moves).await;
        counters.fetch_unknown(&store.client, &store.keys).await?;

        let mut txn = Txn::default();
        let unique = replace(store, &mut txn, &current, &draft);
        counters.add_to(&store.keys, &mut txn);
        feed::add_changes(&store.keys, &mut txn, &[Change::written(next)]);
        let sent = store.client.txn(&txn).await.map_err(EtcdError::for_one_record)?;
        if sent.answer.succeeded {
            counters.committed(sent.answer.header.revision);
            return Ok(true);
        }
        is_outcome_unknown |= sent.is_outcome_unknown;
        let mut ranges = sent.answer.ranges();
        let stored = ranges.next().and_then(RangeAnswer::one);
        let is_current = stored.is_some_and(|it| it.mod_revision == current.mod_revision);
        let is_taken = ranges.by_ref().take(unique).filter_map(RangeAnswer::one).count() > 0;
        counters.refresh(ranges)?;
        if is_current && is_taken {
            return Err(BackendError::AlreadyExists);
        }
    }
    Err(EtcdError::contended().into())
}

/// Returns how an update changes the counters.
pub(super) fn moves(current: &Credential, next: &Credential) -> BTreeMap<UserId, i64> {
    if current.user_id == next.user_id {
        return BTreeMap::new();
    }
    BTreeMap::from([(current.user_id.clone(), -1), (next.user_id.clone(), 1)])
}

/// Adds the replacement of a record to a transaction. If the transaction fails, it reads the
/// record and then the new unique entries. Returns the number of those.
fn replace(store: &Store, txn: &mut Txn, current: &Found, next: &Draft) -> usize {
    replace_except(store, txn, current, next, |_| false)
}

/// As [`replace`]. Old entries whose key `is_reused` remain, for the caller to overwrite.
pub(super) fn replace_except(
    store: &Store,
    txn: &mut Txn,
    current: &Found,
    next: &Draft,
    is_reused: impl Fn(&Vec<u8>) -> bool,
) -> usize {
    txn.require(next.key.clone(), current.mod_revision);
    txn.otherwise(Range::of(next.key.clone()));
    txn.put(next.key.clone(), &**next.value);
    let (before, after) = (store.keys.entries(&current.credential), &next.entries);
    let mut unique = 0;
    for entry in after.iter().filter(|entry| !before.contains(entry)) {
        if entry.is_unique {
            txn.require(entry.key.clone(), 0);
            txn.otherwise(Range::of(entry.key.clone()));
            unique += 1;
        }
        txn.put(entry.key.clone(), &*entry.value);
    }
    for entry in before.into_iter().filter(|entry| !after.contains(entry)) {
        if !is_reused(&entry.key) {
            txn.delete(entry.key);
        }
    }
    let former = store.keys.former(&current.credential);
    let kept = store.keys.former(&next.credential);
    for key in former.into_iter().filter(|key| !kept.contains(key)) {
        if !is_reused(&key) && !after.iter().any(|entry| entry.key == key) {
            txn.delete(key);
        }
    }
    unique
}

/// Deletes a record if it has this version.
pub(super) async fn delete(
    store: &Store,
    id: &CredentialId,
    expected: Version,
) -> Result<bool, BackendError> {
    let mut is_outcome_unknown = false;
    for attempt in 0..MAX_ATTEMPTS {
        backoff(attempt).await;
        let current = match read::record(store, id).await? {
            Some(found) if found.credential.version == expected => found,
            _ if is_outcome_unknown => return Err(EtcdError::outcome_unknown().into()),
            _ => return Ok(false),
        };
        match remove(store, &[current], &Change::deleted(id.clone())).await? {
            Removed::Done => return Ok(true),
            Removed::Not { is_outcome_unknown: is_unknown } => is_outcome_unknown |= is_unknown,
        }
    }
    Err(EtcdError::contended().into())
}

/// The result of removing records together.
pub(super) enum Removed {
    Done,
    /// Something has changed since it was read, possibly because an earlier attempt took effect.
    Not {
        is_outcome_unknown: bool,
    },
}

/// Removes records and their index entries, if no record has changed since it was read.
pub(super) async fn remove(
    store: &Store,
    records: &[Found],
    change: &Change,
) -> Result<Removed, BackendError> {
    let mut changes = BTreeMap::new();
    for record in records {
        *changes.entry(record.credential.user_id.clone()).or_default() -= 1;
    }
    let mut counters = CounterUpdate::lock(&store.users, changes).await;
    counters.fetch_unknown(&store.client, &store.keys).await?;
    let mut txn = Txn::default();
    for Found { credential, mod_revision, .. } in records {
        let key = store.keys.record(credential.id.as_str());
        txn.require(key.clone(), *mod_revision);
        txn.delete(key);
        let entries = store.keys.entries(credential).into_iter().map(|entry| entry.key);
        for key in entries.chain(store.keys.former(credential)) {
            txn.delete(key);
        }
    }
    counters.add_to(&store.keys, &mut txn);
    feed::add_changes(&store.keys, &mut txn, std::slice::from_ref(change));
    let sent = store.client.txn(&txn).await?;
    if sent.answer.succeeded {
        counters.committed(sent.answer.header.revision);
        return Ok(Removed::Done);
    }
    counters.refresh(sent.answer.ranges())?;
    Ok(Removed::Not { is_outcome_unknown: sent.is_outcome_unknown })
}
