//! All records of an owner go.

use std::sync::Arc;

use crate::backend::{BackendError, Change, Order};

use super::Store;
use super::change::{Removed, remove};
use super::error::Trouble;
use super::keys::{Owner, behind};
use super::read::{self, A_TRIP};
use super::record::{self, Found};
use super::wire::Range;
use super::write::{ATTEMPTS, MAX_OPERATIONS, pause};

/// Deletes all records of an owner that are there when it starts, some at a time, each
/// whole; returns how many. What was under way when an answer was lost, and is gone,
/// counts too.
pub(super) async fn purge(store: Arc<Store>, owner: Owner) -> Result<u64, BackendError> {
    let entries = store.keys.owned(&owner, Order::Id);
    let range = Range::between(entries.clone(), behind(&entries));
    let answer = store.client.range(&range.keys_only()).await?;
    let started = answer.header.revision;
    let marker = |key: &[u8]| String::from_utf8_lossy(&key[entries.len()..]).into_owned();
    let ids: Vec<_> = answer.kvs.iter().map(|entry| marker(&entry.key.0)).collect();

    let mut purged = 0;
    for ids in ids.chunks(A_TRIP) {
        let mut left = doomed(&store, &owner, ids, started).await?;
        let mut attempt = 0;
        while !left.is_empty() {
            pause(attempt).await;
            let some = fitting(&left);
            let Removed::Not { is_doubtful } =
                remove(&store, &left[..some], &change(&owner)).await?
            else {
                purged += some as u64;
                left.drain(..some);
                attempt = 0;
                continue;
            };
            attempt += 1;
            if attempt == ATTEMPTS {
                return Err(Trouble::contended().into());
            }
            let before = left.len();
            let ids: Vec<_> = left.iter().map(|it| it.credential.id.as_str().into()).collect();
            left = doomed(&store, &owner, &ids, started).await?;
            if is_doubtful {
                purged += some.min(before - left.len()) as u64;
            }
        }
    }
    Ok(purged)
}

/// Those of these records that are the owner's and were there when the purge started.
async fn doomed(
    store: &Store,
    owner: &Owner,
    ids: &[String],
    started: i64,
) -> Result<Vec<Found>, BackendError> {
    let mut doomed = Vec::with_capacity(ids.len());
    for found in read::records(store, ids, 0).await?.into_iter().flatten() {
        let found = record::decode(&found)?;
        let is_theirs = match owner {
            Owner::Project(id) => found.credential.project_id.as_ref() == Some(id),
            Owner::User(id) => found.credential.user_id == *id,
        };
        if is_theirs && found.create_revision <= started {
            doomed.push(found);
        }
    }
    Ok(doomed)
}

/// How many of these one transaction can remove.
fn fitting(records: &[Found]) -> usize {
    // A record, two keys that are its own, two orders of two owners, a counter; and what
    // is told of it all.
    const OF_ONE: usize = 8;
    records.len().min((MAX_OPERATIONS - 1) / OF_ONE)
}

fn change(owner: &Owner) -> Change {
    match owner {
        Owner::Project(id) => Change::Project(id.clone()),
        Owner::User(id) => Change::User(id.clone()),
    }
}
