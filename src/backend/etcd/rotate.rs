//! Rotations.

use std::sync::Arc;

use crate::backend::{BackendError, contract::Change};
use crate::domain::{Credential, Quota, Version};

use super::change::{moves, replace_except};
use super::counters::CounterUpdate;
use super::error::EtcdError;
use super::feed;
use super::read;
use super::record::{Draft, Found, MAX_ATTEMPTS, backoff};
use super::store::Store;
use super::wire::{RangeAnswer, Txn};

/// A new record, and the new state of the record that it replaces.
pub(super) struct Rotation<'a> {
    pub(super) credential: &'a Arc<Credential>,
    pub(super) quota: Quota,
    pub(super) retired: &'a Arc<Credential>,
    /// The version of the replaced record.
    pub(super) expected: Version,
}

impl Rotation<'_> {
    /// Writes both records in one transaction, or neither. Returns `false` if the replaced record
    /// does not have the expected version.
    pub(super) async fn write(self, store: &Store) -> Result<bool, BackendError> {
        let mut is_outcome_unknown = false;
        for attempt in 0..MAX_ATTEMPTS {
            backoff(attempt).await;
            let current = match read::record(store, &self.retired.id).await? {
                Some(found) if found.credential.version == self.expected => found,
                Some(found) if is_outcome_unknown && found.credential == *self.retired => {
                    return Ok(true);
                }
                _ if is_outcome_unknown => return Err(EtcdError::outcome_unknown().into()),
                _ => return Ok(false),
            };
            match self.attempt(store, &current).await? {
                Attempt::Done => return Ok(true),
                Attempt::Retry { is_outcome_unknown: is_unknown } => {
                    is_outcome_unknown |= is_unknown;
                }
            }
        }
        Err(EtcdError::contended().into())
    }

    async fn attempt(&self, store: &Store, current: &Found) -> Result<Attempt, BackendError> {
        let owner = &self.credential.user_id;
        let mut changes = moves(&current.credential, self.retired);
        *changes.entry(owner.clone()).or_default() += 1;
        let mut counters = CounterUpdate::lock(&store.users, changes).await;
        counters.fetch_unknown(&store.client, &store.keys).await?;
        if !self.quota.admits(counters.held_by(owner)) {
            // Other processes may have deleted records of the user.
            counters.forget();
            counters.fetch_unknown(&store.client, &store.keys).await?;
            if !self.quota.admits(counters.held_by(owner)) {
                return Err(BackendError::QuotaExceeded);
            }
        }
        let new = Draft::new(&store.keys, self.credential)?;
        let retired = Draft::new(&store.keys, self.retired)?;
        store.size_limit.check(&store.client, new.value.len()).await?;
        // etcd accepts one write of a key in a transaction.
        if new.keys().any(|key| retired.keys().any(|other| other == key)) {
            return Err(BackendError::AlreadyExists);
        }

        let mut txn = Txn::default();
        let is_reused = |key: &Vec<u8>| new.keys().any(|other| other == key);
        let unique = replace_except(store, &mut txn, current, &retired, is_reused);
        let before = store.keys.entries(&current.credential);
        let freed: Vec<_> = before.into_iter().map(|entry| entry.key).collect();
        new.add_with_freed(&mut txn, &freed);
        let new_unique =
            new.entries.iter().filter(|it| it.is_unique && !freed.contains(&it.key)).count();
        counters.add_to(&store.keys, &mut txn);
        let written = [Change::written(self.credential), Change::written(self.retired)];
        feed::add_changes(&store.keys, &mut txn, &written);
        let sent = store.client.txn(&txn).await.map_err(EtcdError::for_one_record)?;
        if sent.answer.succeeded {
            counters.committed(sent.answer.header.revision);
            return Ok(Attempt::Done);
        }

        let mut ranges = sent.answer.ranges();
        let stored = ranges.next().and_then(RangeAnswer::one);
        let is_current = stored.is_some_and(|it| it.mod_revision == current.mod_revision);
        // The unique entries of both records, and the new record itself.
        let taken = ranges.by_ref().take(unique + 1 + new_unique).filter_map(RangeAnswer::one);
        let is_taken = taken.count() > 0;
        counters.refresh(ranges)?;
        if is_current && is_taken {
            let is_admitted = self.quota.admits(counters.held_by(owner));
            return Err(if is_admitted {
                BackendError::AlreadyExists
            } else {
                BackendError::QuotaExceeded
            });
        }
        Ok(Attempt::Retry { is_outcome_unknown: sent.is_outcome_unknown })
    }
}

/// The result of one transaction.
enum Attempt {
    Done,
    /// Something has changed since it was read, possibly because an earlier attempt took effect.
    Retry {
        is_outcome_unknown: bool,
    },
}
