//! All records of an owner go.

use std::sync::Arc;

use crate::backend::{BackendError, Change, Order};
use crate::domain::CredentialId;

use super::Store;
use super::change::{Removed, remove};
use super::discard::discard;
use super::error::Trouble;
use super::keys::{Owner, behind, next_to};
use super::read;
use super::record::{self, Found};
use super::walk;
use super::wire::KeyValue;
use super::write::{ATTEMPTS, MAX_OPERATIONS, pause};

/// How many records one transaction can remove: of each itself, two keys that are its own,
/// two orders of two owners, and a counter; and what is told of it all.
const AT_ONCE: usize = (MAX_OPERATIONS - 1) / 8;

/// How many keys are read in one trip.
const A_WALK: usize = 2_000;

/// Deletes all records of an owner that are there when it starts, some at a time, each
/// whole; returns how many. What was under way when an answer was lost, and is gone,
/// counts too.
pub(super) async fn purge(store: Arc<Store>, owner: Owner) -> Result<u64, BackendError> {
    let walked = store.keys.owned(&owner, Order::Id);
    let (mut start, end) = (walked.clone(), behind(&walked));
    let (mut started, mut purged) = (None, 0);
    loop {
        let walk = walk::keys(&store, &walked, start, end.clone(), A_WALK).await?;
        let Some(last) = walk.entries.last() else { return Ok(purged) };
        start = next_to(&last.key.0);
        let started = *started.get_or_insert(walk.revision);
        let id = |entry: &KeyValue| read::text_after(entry, walked.len());
        let ids = walk.entries.iter().map(id).collect::<Result<Vec<_>, _>>()?;
        for ids in ids.chunks(AT_ONCE) {
            purged += some(&store, &owner, ids, started).await?;
        }
    }
}

/// Deletes these records, in one transaction, as far as they are the owner's and were there
/// when the purge started.
async fn some(
    store: &Store,
    owner: &Owner,
    ids: &[String],
    started: i64,
) -> Result<u64, BackendError> {
    let (mut purged, mut attempt) = (0, 0);
    let (mut left, damaged) = doomed(store, owner, ids, started).await?;
    for id in damaged {
        purged += u64::from(discard(store, &id).await?);
    }
    while !left.is_empty() {
        pause(attempt).await;
        let Removed::Not { is_doubtful } = remove(store, &left, &change(owner)).await? else {
            return Ok(purged + left.len() as u64);
        };
        attempt += 1;
        if attempt == ATTEMPTS {
            return Err(Trouble::contended().into());
        }
        let before = left.len();
        (left, _) = doomed(store, owner, ids, started).await?;
        if is_doubtful {
            purged += before.saturating_sub(left.len()) as u64;
        }
    }
    Ok(purged)
}

/// Those of these records that are the owner's and were there when the purge started; and
/// the ids of those that cannot be read, which are taken for the owner's too.
async fn doomed(
    store: &Store,
    owner: &Owner,
    ids: &[String],
    started: i64,
) -> Result<(Vec<Found>, Vec<CredentialId>), BackendError> {
    let (mut doomed, mut damaged) = (Vec::with_capacity(ids.len()), Vec::new());
    for (id, found) in ids.iter().zip(read::records(store, ids, 0).await?) {
        let Some(stored) = found else { continue };
        let Ok(found) = record::decode(&stored) else {
            if stored.create_revision <= started {
                damaged.push(CredentialId::from_stored(id.as_str()));
            }
            continue;
        };
        let is_theirs = match owner {
            Owner::Project(id) => found.credential.project_id.as_ref() == Some(id),
            Owner::User(id) => found.credential.user_id == *id,
        };
        if is_theirs && found.create_revision <= started {
            doomed.push(found);
        }
    }
    Ok((doomed, damaged))
}

fn change(owner: &Owner) -> Change {
    match owner {
        Owner::Project(id) => Change::Project(id.clone()),
        Owner::User(id) => Change::User(id.clone()),
    }
}
