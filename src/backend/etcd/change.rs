//! Updates and deletes.

use std::{collections::BTreeMap, sync::Arc};

use crate::backend::{BackendError, Change};
use crate::domain::{Credential, CredentialId, Version};

use super::Store;
use super::error::Trouble;
use super::feed;
use super::read;
use super::record::Found;
use super::tally::Tally;
use super::wire::{Range, RangeAnswer, Txn};
use super::write::{ATTEMPTS, Draft, pause};

/// Replaces a record that is still at this version.
pub(super) async fn update(
    store: &Store,
    next: &Arc<Credential>,
    expected: Version,
) -> Result<bool, BackendError> {
    let draft = Draft::new(&store.keys, next)?;
    let mut is_doubtful = false;
    for attempt in 0..ATTEMPTS {
        pause(attempt).await;
        let found = read::record(store, &next.id).await?;
        let current = match found {
            Some(found) if found.credential.version == expected => found,
            Some(found) if is_doubtful && found.credential == *next => return Ok(true),
            _ if is_doubtful => return Err(Trouble::doubtful().into()),
            _ => return Ok(false),
        };
        let mut moves = BTreeMap::new();
        if current.credential.user_id != next.user_id {
            moves.insert(current.credential.user_id.clone(), -1);
            moves.insert(next.user_id.clone(), 1);
        }
        let mut tally = Tally::of(store, moves).await;
        tally.look_up(store).await?;

        let mut txn = Txn::default();
        let taken = replace(store, &mut txn, &current, &draft);
        tally.write(&store.keys, &mut txn);
        feed::tell(&store.keys, &mut txn, &[Change::written(next)]);
        let answered = store.client.txn(&txn).await.map_err(Trouble::of_one_record)?;
        if answered.answer.succeeded {
            tally.done(answered.answer.header.revision);
            return Ok(true);
        }
        is_doubtful |= answered.is_doubtful;
        let mut ranges = answered.answer.ranges();
        let stored = ranges.next().and_then(RangeAnswer::one);
        let is_current = stored.is_some_and(|it| it.mod_revision == current.mod_revision);
        let is_taken = ranges.by_ref().take(taken).filter_map(RangeAnswer::one).count() > 0;
        tally.learn(ranges)?;
        if is_current && is_taken {
            return Err(BackendError::AlreadyExists);
        }
    }
    Err(Trouble::contended().into())
}

/// Adds the change from one state to the next. If the transaction fails it reads the
/// record, and then as many entries as this returns that must not be there yet.
fn replace(store: &Store, txn: &mut Txn, current: &Found, next: &Draft) -> usize {
    txn.require(next.key.clone(), current.mod_revision);
    txn.otherwise(Range::of(next.key.clone()));
    txn.put(next.key.clone(), &**next.value);
    let (before, after) = (store.keys.entries(&current.credential), &next.entries);
    let mut taken = 0;
    for entry in after.iter().filter(|entry| !before.contains(entry)) {
        if entry.is_unique {
            txn.require(entry.key.clone(), 0);
            txn.otherwise(Range::of(entry.key.clone()));
            taken += 1;
        }
        txn.put(entry.key.clone(), &*entry.value);
    }
    for entry in before.into_iter().filter(|entry| !after.contains(entry)) {
        txn.delete(entry.key);
    }
    taken
}

/// Deletes a record that is still at this version.
pub(super) async fn delete(
    store: &Store,
    id: &CredentialId,
    expected: Version,
) -> Result<bool, BackendError> {
    let mut is_doubtful = false;
    for attempt in 0..ATTEMPTS {
        pause(attempt).await;
        let current = match read::record(store, id).await? {
            Some(found) if found.credential.version == expected => found,
            _ if is_doubtful => return Err(Trouble::doubtful().into()),
            _ => return Ok(false),
        };
        match remove(store, &[current], &Change::deleted(id.clone())).await? {
            Removed::Done => return Ok(true),
            Removed::Not { is_doubtful: doubt } => is_doubtful |= doubt,
        }
    }
    Err(Trouble::contended().into())
}

/// What became of records that were to be removed together.
pub(super) enum Removed {
    Done,
    /// Something was not as it was read; if doubtful, perhaps because it was done.
    Not {
        is_doubtful: bool,
    },
}

/// Removes these records, if all are as they were read, with all that leads to them.
pub(super) async fn remove(
    store: &Store,
    records: &[Found],
    change: &Change,
) -> Result<Removed, BackendError> {
    let mut changes = BTreeMap::new();
    for record in records {
        *changes.entry(record.credential.user_id.clone()).or_default() -= 1;
    }
    let mut tally = Tally::of(store, changes).await;
    tally.look_up(store).await?;
    let mut txn = Txn::default();
    for Found { credential, mod_revision, .. } in records {
        let key = store.keys.record(credential.id.as_str());
        txn.require(key.clone(), *mod_revision);
        txn.delete(key);
        for entry in store.keys.entries(credential) {
            txn.delete(entry.key);
        }
    }
    tally.write(&store.keys, &mut txn);
    feed::tell(&store.keys, &mut txn, std::slice::from_ref(change));
    let answered = store.client.txn(&txn).await?;
    if answered.answer.succeeded {
        tally.done(answered.answer.header.revision);
        return Ok(Removed::Done);
    }
    tally.learn(answered.answer.ranges())?;
    Ok(Removed::Not { is_doubtful: answered.is_doubtful })
}
