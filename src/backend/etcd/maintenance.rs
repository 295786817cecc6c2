//! Operations on many keys: purges, discards of damaged records, and recounts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::backend::{
    BackendError,
    contract::{Change, Recount},
};
use crate::domain::{CredentialId, UserId};

use super::change::{Removed, remove};
use super::counters::{Counter, CounterUpdate};
use super::error::{CorruptKey, EtcdError};
use super::feed;
use super::keys::{Owner, end_of_prefix, key_after, points_to, user_of};
use super::read;
use super::record::{self, Found, MAX_ATTEMPTS, MAX_OPERATIONS, backoff};
use super::store::Store;
use super::wire::{KeyValue, Range, RangeAnswer, Txn};

/// How many keys are read in one call.
const SCAN_CHUNK: usize = 2_000;

/// How many records one transaction can remove. Each takes the record itself, two unique
/// entries, two of each owner, its expiry, and a counter; one operation is the change.
const REMOVE_CHUNK: usize = (MAX_OPERATIONS - 1) / 9;

/// Deletes the records that an owner has when the purge starts, some at a time, each record as
/// a whole. Returns how many. A record whose deletion was not acknowledged and that is gone
/// counts too.
pub(super) async fn purge(store: Arc<Store>, owner: Owner) -> Result<u64, BackendError> {
    let prefix = store.keys.owned(&owner);
    let (mut start, end) = (prefix.clone(), end_of_prefix(&prefix));
    let (mut started, mut purged) = (None, 0);
    loop {
        let scan = store.scan(&prefix, start, end.clone(), SCAN_CHUNK).await?;
        let Some(last) = scan.entries.last() else { return Ok(purged) };
        start = key_after(&last.key.0);
        let started = *started.get_or_insert(scan.revision);
        let id = |entry: &KeyValue| read::id_of(entry, prefix.len());
        // Version 1 of the layout has two entries for each record.
        let ids = scan.entries.iter().map(id).collect::<Result<BTreeSet<_>, _>>()?;
        let ids: Vec<_> = ids.into_iter().collect();
        for ids in ids.chunks(REMOVE_CHUNK) {
            purged += purge_chunk(&store, &owner, ids, started).await?;
        }
    }
}

/// Deletes records in one transaction, as far as they are the owner's and existed when the
/// purge started.
async fn purge_chunk(
    store: &Store,
    owner: &Owner,
    ids: &[String],
    started: i64,
) -> Result<u64, BackendError> {
    let (mut purged, mut attempt) = (0, 0);
    let (mut left, damaged) = select_for_purge(store, owner, ids, started).await?;
    for id in damaged {
        purged += u64::from(discard(store, &id).await?);
    }
    let change = match owner {
        Owner::Project(id) => Change::Project(id.clone()),
        Owner::User(id) => Change::User(id.clone()),
    };
    while !left.is_empty() {
        backoff(attempt).await;
        let Removed::Not { is_outcome_unknown } = remove(store, &left, &change).await? else {
            return Ok(purged + left.len() as u64);
        };
        attempt += 1;
        if attempt == MAX_ATTEMPTS {
            return Err(EtcdError::contended().into());
        }
        let before = left.len();
        (left, _) = select_for_purge(store, owner, ids, started).await?;
        if is_outcome_unknown {
            purged += before.saturating_sub(left.len()) as u64;
        }
    }
    Ok(purged)
}

/// Selects the records that are the owner's and existed when the purge started. Returns the
/// ids of those that cannot be read separately; they are taken for the owner's.
async fn select_for_purge(
    store: &Store,
    owner: &Owner,
    ids: &[String],
    started: i64,
) -> Result<(Vec<Found>, Vec<CredentialId>), BackendError> {
    let (mut selected, mut damaged) = (Vec::with_capacity(ids.len()), Vec::new());
    for (id, found) in ids.iter().zip(read::records(store, ids, 0).await?) {
        let Some(stored) = found else { continue };
        let Ok(found) = record::decode(&stored) else {
            if stored.create_revision <= started {
                damaged.push(CredentialId::from_stored(id.as_str()));
            }
            continue;
        };
        let is_owned = match owner {
            Owner::Project(id) => found.credential.project_id.as_ref() == Some(id),
            Owner::User(id) => found.credential.user_id == *id,
        };
        if is_owned && found.create_revision <= started {
            selected.push(found);
        }
    }
    Ok((selected, damaged))
}

/// Deletes the record with this id and its index entries. Returns `false` if it does not
/// exist.
pub(super) async fn discard(store: &Store, id: &CredentialId) -> Result<bool, BackendError> {
    let mut is_outcome_unknown = false;
    for attempt in 0..MAX_ATTEMPTS {
        backoff(attempt).await;
        let key = store.keys.record(id.as_str());
        let Some(stored) = store.client.range(&Range::of(key)).await?.one() else {
            // An earlier attempt may have deleted it.
            return Ok(is_outcome_unknown);
        };
        let removed = match record::decode(&stored) {
            Ok(found) => remove(store, &[found], &Change::deleted(id.clone())).await?,
            Err(_) => remove_damaged(store, id, &stored).await?,
        };
        match removed {
            Removed::Done => return Ok(true),
            Removed::Not { is_outcome_unknown: is_unknown } => is_outcome_unknown |= is_unknown,
        }
    }
    Err(EtcdError::contended().into())
}

/// Removes a record whose index entries are not known from the record itself, unless something
/// has changed meanwhile.
async fn remove_damaged(
    store: &Store,
    id: &CredentialId,
    stored: &KeyValue,
) -> Result<Removed, BackendError> {
    let Pointers { entries, users } = find_pointers(store, id).await?;
    let mut counters = CounterUpdate::lock(&store.users, users).await;
    counters.fetch_unknown(&store.client, &store.keys).await?;
    let mut txn = Txn::default();
    for KeyValue { key, mod_revision, .. } in entries.iter().chain([stored]) {
        txn.require(key.0.clone(), *mod_revision);
        txn.delete(key.0.clone());
    }
    counters.add_to(&store.keys, &mut txn);
    feed::add_changes(&store.keys, &mut txn, &[Change::deleted(id.clone())]);
    let sent = store.client.txn(&txn).await?;
    if sent.answer.succeeded {
        counters.committed(sent.answer.header.revision);
        return Ok(Removed::Done);
    }
    counters.refresh(sent.answer.ranges())?;
    Ok(Removed::Not { is_outcome_unknown: sent.is_outcome_unknown })
}

/// The index entries that point to a record, and the changes of its users' counters.
struct Pointers {
    entries: Vec<KeyValue>,
    users: BTreeMap<UserId, i64>,
}

/// Searches the whole index for entries that point to a record.
async fn find_pointers(store: &Store, id: &CredentialId) -> Result<Pointers, BackendError> {
    let mut pointers = Pointers { entries: Vec::new(), users: BTreeMap::new() };
    for prefix in store.keys.index_prefixes() {
        let (mut start, end) = (prefix.clone(), end_of_prefix(&prefix));
        loop {
            let scan = store.scan(&prefix, start, end.clone(), SCAN_CHUNK).await?;
            let Some(last) = scan.entries.last() else { break };
            start = key_after(&last.key.0);
            for entry in scan.entries {
                let rest = &entry.key.0[prefix.len()..];
                if !points_to(rest, &entry.value.0, id.as_str()) {
                    continue;
                }
                if prefix == store.keys.users() {
                    pointers.users.extend(user_of(rest).map(|user| (user, -1)));
                }
                pointers.entries.push(entry);
            }
        }
    }
    Ok(pointers)
}

/// Counts the records of every user; corrects wrong counters if `repair` is set.
pub(super) async fn recount(store: &Store, repair: bool) -> Result<Recount, BackendError> {
    let mut recount = Recount::default();
    let (counters, users) = (store.keys.counters(), store.keys.users());
    let user_of_counter = |rest: &[u8]| str::from_utf8(rest).ok().map(UserId::from_stored);
    for (prefix, is_counter) in [(counters, true), (users, false)] {
        let (mut start, end) = (prefix.clone(), end_of_prefix(&prefix));
        loop {
            let scan = store.scan(&prefix, start, end.clone(), SCAN_CHUNK).await?;
            let Some(last) = scan.entries.last() else { break };
            start = key_after(&last.key.0);
            let mut found = BTreeSet::new();
            for entry in &scan.entries {
                let rest = &entry.key.0[prefix.len()..];
                let user = if is_counter { user_of_counter(rest) } else { user_of(rest) };
                let user = user.ok_or_else(|| CorruptKey::new(&entry.key.0, "the user"))?;
                found.insert(user.as_str().to_owned());
            }
            for user in found {
                let user = UserId::from_stored(user);
                // The first pass handles users with a counter, the second pass the others.
                if let Some(is_right) = recount_user(store, &user, is_counter, repair).await? {
                    recount.users += 1;
                    recount.wrong += u64::from(!is_right);
                }
            }
        }
    }
    Ok(recount)
}

/// Recounts one user. Returns whether the counter was right, or `None` if the user has a
/// counter and should not, or the reverse.
async fn recount_user(
    store: &Store,
    user_id: &UserId,
    has_counter: bool,
    repair: bool,
) -> Result<Option<bool>, BackendError> {
    let entries = store.keys.owned(&Owner::User(user_id.clone()));
    let end = end_of_prefix(&entries);
    let count = Range { count_only: true, ..Range::between(entries, end) };
    let key = store.keys.counter(user_id);
    let mut is_right = true;
    for attempt in 0..MAX_ATTEMPTS {
        backoff(attempt).await;
        let answer = store.client.read([count.clone(), Range::of(key.clone())]).await?;
        let mut ranges = answer.ranges();
        let held = ranges.next().map_or(0, |range| range.count.unsigned_abs());
        let found = ranges.next().and_then(RangeAnswer::one);
        if found.is_some() != has_counter {
            return Ok(None);
        }
        // A counter that cannot be read is wrong too.
        let counter = Counter::read(found.as_ref()).ok();
        if counter.is_some_and(|counter| counter.held == held) {
            return Ok(Some(is_right));
        }
        is_right = false;
        if !repair {
            return Ok(Some(false));
        }
        let mut txn = Txn::default();
        txn.require(key.clone(), found.map_or(0, |found| found.mod_revision));
        txn.put(key.clone(), held.to_string());
        if store.client.txn(&txn).await?.answer.succeeded {
            return Ok(Some(false));
        }
    }
    Err(EtcdError::contended().into())
}
