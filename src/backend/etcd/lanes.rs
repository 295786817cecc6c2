//! Counters of quotas, as they were seen last, and whose turn it is to change them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::domain::UserId;

use super::error::CorruptKey;
use super::insert::Queue;
use super::wire::KeyValue;

/// How many users' counters are remembered.
const MAX_LANES: usize = 10_000;

/// A user's counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counter {
    /// How many records the user holds.
    pub(super) held: u64,
    /// When it was last written; 0 if never.
    ///
    /// Each write moves it and none removes it, so that a write which requires it as it
    /// was can be done once at the most, however often it is sent and however late.
    pub(super) revision: i64,
}

impl Counter {
    pub(super) fn read(found: Option<&KeyValue>) -> Result<Self, CorruptKey> {
        let Some(found) = found else { return Ok(Self::default()) };
        let held = str::from_utf8(&found.value.0).ok().and_then(|text| text.parse().ok());
        let held = held.ok_or_else(|| CorruptKey::new(&found.key.0, "the count"))?;
        Ok(Self { held, revision: found.mod_revision })
    }
}

/// Lets one write at a time change a user's counter, so that those of this process do not
/// get into each other's way; those of other processes are found out by the store.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Mutex<HashMap<UserId, Arc<Lane>>>,
}

/// What is known of a user, and the inserts that wait.
#[derive(Default)]
pub(super) struct Lane {
    turn: Arc<tokio::sync::Mutex<Option<Counter>>>,
    pub(super) queue: Queue,
}

/// One user's turn; holds the counter as it was seen last.
pub(super) type Turn = OwnedMutexGuard<Option<Counter>>;

impl Lanes {
    /// Waits for this user's turn.
    pub(super) async fn turn(&self, user_id: &UserId) -> Turn {
        Arc::clone(&self.lane(user_id).turn).lock_owned().await
    }

    /// Waits for the turns of these users, who are sorted and different: in one order, so
    /// that no two wait for each other.
    pub(super) async fn turns<'a>(&self, users: impl IntoIterator<Item = &'a UserId>) -> Vec<Turn> {
        let mut turns = Vec::new();
        for user_id in users {
            turns.push(self.turn(user_id).await);
        }
        turns
    }

    pub(super) fn lane(&self, user_id: &UserId) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(user_id) {
            return Arc::clone(lane);
        }
        if lanes.len() >= MAX_LANES {
            // All but those that somebody holds or waits for.
            let is_used =
                |lane: &Arc<Lane>| Arc::strong_count(lane) > 1 || Arc::strong_count(&lane.turn) > 1;
            lanes.retain(|_, lane| is_used(lane));
        }
        Arc::clone(lanes.entry(user_id.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_remembered_is_bounded_and_a_turn_that_is_held_stays() {
        let lanes = Lanes::default();
        let held = UserId::from_stored("held");
        let mut turn = lanes.turn(&held).await;
        for n in 0..2 * MAX_LANES {
            drop(lanes.turn(&UserId::from_stored(n.to_string())).await);
        }
        assert!(lanes.lanes.lock().unwrap().len() <= MAX_LANES);
        *turn = Some(Counter { held: 3, revision: 7 });
        drop(turn);
        assert_eq!(lanes.turn(&held).await.unwrap().held, 3);
    }
}
