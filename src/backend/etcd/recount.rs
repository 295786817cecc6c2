//! Whether the counters of the quotas are right.

use std::collections::BTreeSet;

use crate::backend::{BackendError, Order};
use crate::domain::UserId;

use super::Store;
use super::error::{CorruptKey, Trouble};
use super::keys::{Owner, behind, next_to, user_of};
use super::lanes::Counter;
use super::walk;
use super::wire::{Range, RangeAnswer, Txn};
use super::write::{ATTEMPTS, pause};

/// How many keys are read in one trip.
const A_TRIP: usize = 2_000;

/// What a recount found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recount {
    /// How many users were looked at: all who hold or held a record.
    pub users: u64,
    /// How many of them had a counter that was not the number of their records.
    pub wrong: u64,
}

/// Counts the records of every user; sets the counters right if asked to.
pub(super) async fn recount(store: &Store, repair: bool) -> Result<Recount, BackendError> {
    let mut recount = Recount::default();
    let (counters, users) = (store.keys.counters(), store.keys.users());
    let with_counter = |rest: &[u8]| str::from_utf8(rest).ok().map(UserId::from_stored);
    for (walked, is_counter) in [(counters, true), (users, false)] {
        let (mut start, end) = (walked.clone(), behind(&walked));
        loop {
            let walk = walk::keys(store, &walked, start, end.clone(), A_TRIP).await?;
            let Some(last) = walk.entries.last() else { break };
            start = next_to(&last.key.0);
            let mut some = BTreeSet::new();
            for entry in &walk.entries {
                let rest = &entry.key.0[walked.len()..];
                let user = if is_counter { with_counter(rest) } else { user_of(rest) };
                let user = user.ok_or_else(|| CorruptKey::new(&entry.key.0, "the user"))?;
                some.insert(user.as_str().to_owned());
            }
            for user in some {
                let user = UserId::from_stored(user);
                // Those with a counter were looked at before the others.
                if let Some(is_right) = look_at(store, &user, is_counter, repair).await? {
                    recount.users += 1;
                    recount.wrong += u64::from(!is_right);
                }
            }
        }
    }
    Ok(recount)
}

/// Counts one user's records; `None` if there is a counter exactly if there should not be.
async fn look_at(
    store: &Store,
    user_id: &UserId,
    has_counter: bool,
    repair: bool,
) -> Result<Option<bool>, BackendError> {
    let entries = store.keys.owned(&Owner::User(user_id.clone()), Order::Id);
    let count = Range { count_only: true, ..Range::between(entries.clone(), behind(&entries)) };
    let key = store.keys.counter(user_id);
    let mut is_right = true;
    for attempt in 0..ATTEMPTS {
        pause(attempt).await;
        let answer = store.client.read([count.clone(), Range::of(key.clone())]).await?;
        let mut ranges = answer.ranges();
        let held = ranges.next().map_or(0, |range| range.count.unsigned_abs());
        let found = ranges.next().and_then(RangeAnswer::one);
        if found.is_some() != has_counter {
            return Ok(None);
        }
        // One that cannot be read is wrong too.
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
    Err(Trouble::contended().into())
}
