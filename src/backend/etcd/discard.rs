//! Deleting a record, whatever is in it.

use std::collections::BTreeMap;

use crate::backend::{BackendError, Change};
use crate::domain::{CredentialId, UserId};

use super::Store;
use super::change::{Removed, remove};
use super::error::Trouble;
use super::feed;
use super::keys::{behind, leads_to, next_to, user_of};
use super::record;
use super::tally::Tally;
use super::walk;
use super::wire::{KeyValue, Range, Txn};
use super::write::{ATTEMPTS, pause};

/// How many keys are read in one trip.
const A_TRIP: usize = 2_000;

/// Deletes the record with this id and all that leads to it; `false` if there is none.
pub(super) async fn discard(store: &Store, id: &CredentialId) -> Result<bool, BackendError> {
    let mut is_doubtful = false;
    for attempt in 0..ATTEMPTS {
        pause(attempt).await;
        let key = store.keys.record(id.as_str());
        let Some(stored) = store.client.range(&Range::of(key)).await?.one() else {
            // It is gone; perhaps by this very call.
            return Ok(is_doubtful);
        };
        let removed = match record::decode(&stored) {
            Ok(found) => remove(store, &[found], &Change::deleted(id.clone())).await?,
            Err(_) => remove_damaged(store, id, &stored).await?,
        };
        match removed {
            Removed::Done => return Ok(true),
            Removed::Not { is_doubtful: doubt } => is_doubtful |= doubt,
        }
    }
    Err(Trouble::contended().into())
}

/// Removes a record that does not tell what leads to it, if all is as it was found.
async fn remove_damaged(
    store: &Store,
    id: &CredentialId,
    stored: &KeyValue,
) -> Result<Removed, BackendError> {
    let Leading { entries, users } = leading_to(store, id).await?;
    let mut tally = Tally::of(store, users).await;
    tally.look_up(store).await?;
    let mut txn = Txn::default();
    for KeyValue { key, mod_revision, .. } in entries.iter().chain([stored]) {
        txn.require(key.0.clone(), *mod_revision);
        txn.delete(key.0.clone());
    }
    tally.write(&store.keys, &mut txn);
    feed::tell(&store.keys, &mut txn, &[Change::deleted(id.clone())]);
    let answered = store.client.txn(&txn).await?;
    if answered.answer.succeeded {
        tally.done(answered.answer.header.revision);
        return Ok(Removed::Done);
    }
    tally.learn(answered.answer.ranges())?;
    Ok(Removed::Not { is_doubtful: answered.is_doubtful })
}

/// What leads to a record, and by how much the counters change of those who hold it.
struct Leading {
    entries: Vec<KeyValue>,
    users: BTreeMap<UserId, i64>,
}

/// Looks through all keys that lead to records.
async fn leading_to(store: &Store, id: &CredentialId) -> Result<Leading, BackendError> {
    let mut leading = Leading { entries: Vec::new(), users: BTreeMap::new() };
    for walked in store.keys.leading() {
        let (mut start, end) = (walked.clone(), behind(&walked));
        loop {
            let walk = walk::keys(store, &walked, start, end.clone(), A_TRIP).await?;
            let Some(last) = walk.entries.last() else { break };
            start = next_to(&last.key.0);
            for entry in walk.entries {
                let rest = &entry.key.0[walked.len()..];
                if !leads_to(rest, &entry.value.0, id.as_str()) {
                    continue;
                }
                // What is counted are a user's entries by id, which have no value.
                if walked == store.keys.users() && entry.value.0.is_empty() {
                    leading.users.extend(user_of(rest).map(|user| (user, -1)));
                }
                leading.entries.push(entry);
            }
        }
    }
    Ok(leading)
}
