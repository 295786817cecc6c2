//! The counters that a write moves, in one transaction with what is counted.

use std::collections::BTreeMap;

use crate::domain::UserId;

use super::Store;
use super::error::Failed;
use super::keys::Keys;
use super::lanes::{Counter, Turn};
use super::wire::{Range, RangeAnswer, Txn};

/// The counters of the users whose records a write adds or removes, and their turns.
pub(super) struct Tally {
    rows: Vec<Row>,
}

struct Row {
    user_id: UserId,
    change: i64,
    turn: Turn,
}

impl Tally {
    /// Waits for the turns of these users, whose counters change by so much.
    pub(super) async fn of(store: &Store, changes: BTreeMap<UserId, i64>) -> Self {
        let turns = store.lanes.turns(changes.keys()).await;
        let rows = changes.into_iter().zip(turns);
        Self { rows: rows.map(|((user_id, change), turn)| Row { user_id, change, turn }).collect() }
    }

    /// Reads the counters that are not known.
    pub(super) async fn look_up(&mut self, store: &Store) -> Result<(), Failed> {
        let unknown: Vec<_> = self.rows.iter_mut().filter(|row| row.turn.is_none()).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let ranges = unknown.iter().map(|row| Range::of(store.keys.counter(&row.user_id)));
        let answer = store.client.read(ranges).await?;
        for (row, range) in unknown.into_iter().zip(answer.ranges()) {
            *row.turn = Some(Counter::read(range.one().as_ref())?);
        }
        Ok(())
    }

    /// How many records the first user holds, as far as is known.
    pub(super) fn held(&self) -> u64 {
        self.rows.first().map_or(0, |row| row.counter().held)
    }

    /// By how much the first user's counter changes.
    pub(super) fn set_change(&mut self, change: i64) {
        if let Some(row) = self.rows.first_mut() {
            row.change = change;
        }
    }

    /// The first user's counter may be another by now.
    pub(super) fn forget(&mut self) {
        if let Some(row) = self.rows.first_mut() {
            *row.turn = None;
        }
    }

    /// Adds the counters to a transaction, which will read them if it fails.
    pub(super) fn write(&self, keys: &Keys, txn: &mut Txn) {
        for row in &self.rows {
            let (key, counter) = (keys.counter(&row.user_id), row.counter());
            txn.require(key.clone(), counter.revision);
            txn.otherwise(Range::of(key.clone()));
            txn.put(key, row.after(counter).to_string());
        }
    }

    /// Takes in what a failed transaction read of the counters; `true` if one had moved.
    pub(super) fn learn(
        &mut self,
        mut ranges: impl Iterator<Item = RangeAnswer>,
    ) -> Result<bool, Failed> {
        let mut has_moved = false;
        for row in &mut self.rows {
            let found = ranges.next().and_then(RangeAnswer::one);
            let counter = Counter::read(found.as_ref())?;
            has_moved |= counter != row.counter();
            *row.turn = Some(counter);
        }
        Ok(has_moved)
    }

    /// The transaction was done, at this revision.
    pub(super) fn done(&mut self, revision: i64) {
        for row in &mut self.rows {
            let held = row.after(row.counter());
            *row.turn = Some(Counter { held, revision });
        }
    }
}

impl Row {
    /// Who is not known is taken for new; the transaction finds out.
    fn counter(&self) -> Counter {
        self.turn.unwrap_or_default()
    }

    fn after(&self, counter: Counter) -> u64 {
        counter.held.saturating_add_signed(self.change)
    }
}
