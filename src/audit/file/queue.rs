//! The events that wait for the writer.

use std::{
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::sync::oneshot;

use crate::audit::AuditId;

/// How many events wait at most, and how many bytes they have.
const MAX_ENTRIES: usize = 65_536;
const MAX_BYTES: usize = 32 << 20;

/// A line that waits.
#[derive(Debug)]
pub(super) struct Entry {
    /// The `type` of the line.
    pub(super) kind: &'static str,
    pub(super) id: AuditId,
    /// Whether the line is needed only if its intent was written.
    pub(super) only_if_open: bool,
    pub(super) members: String,
    /// Notified when the line is durable. Dropped if it cannot be written.
    pub(super) durable: Option<oneshot::Sender<()>>,
}

/// Shared by the handles and the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    entries: Vec<Entry>,
    /// Of the entries, and those that the writer holds.
    outstanding: usize,
    bytes: usize,
    /// Events that were lost since the last line about them.
    lost: u64,
    pub(super) lost_in_total: u64,
    pub(super) written: u64,
    /// Why the last attempt to write failed.
    pub(super) failure: Option<String>,
    /// When the running attempt began.
    pub(super) writing_since: Option<SystemTime>,
    is_closed: bool,
    is_done: bool,
    /// Entries that the writer could not write before it ended.
    left: usize,
}

/// What the writer takes.
pub(super) struct Taken {
    pub(super) entries: Vec<Entry>,
    pub(super) lost: u64,
    pub(super) is_closed: bool,
}

impl Queue {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry. Returns false and drops the entry if the queue is full or closed.
    pub(super) fn push(&self, entry: Entry) -> bool {
        let mut state = self.lock();
        let bytes = state.bytes + entry.members.len();
        // There are no more outcomes than intents, which are bounded.
        let is_bounded = entry.kind != "outcome";
        let is_full = is_bounded && (state.outstanding >= MAX_ENTRIES || bytes > MAX_BYTES);
        if state.is_closed || is_full {
            // A refused intent is not lost: its change is not made.
            if entry.durable.is_none() && !entry.only_if_open {
                state.lost += 1;
                state.lost_in_total += 1;
            }
            return false;
        }
        state.outstanding += 1;
        state.bytes = bytes;
        state.entries.push(entry);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Waits for entries, at most this long.
    pub(super) fn take(&self, longest: Duration) -> Taken {
        let state = self.lock();
        let idle = |state: &mut State| state.entries.is_empty() && !state.is_closed;
        let waited = self.changed.wait_timeout_while(state, longest, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Taken {
            entries: mem::take(&mut state.entries),
            lost: mem::take(&mut state.lost),
            is_closed: state.is_closed,
        }
    }

    pub(super) fn began(&self, now: SystemTime) {
        self.lock().writing_since = Some(now);
    }

    /// Reports entries that the writer is done with.
    pub(super) fn finished(&self, entries: &[Entry], written: u64) {
        let mut state = self.lock();
        state.outstanding -= entries.len();
        state.bytes -= entries.iter().map(|entry| entry.members.len()).sum::<usize>();
        state.written += written;
        if written > 0 {
            state.failure = None;
        }
    }

    /// Ends an attempt. `lost` events are still to be reported.
    pub(super) fn ended(&self, failure: Option<String>, lost: u64) {
        let mut state = self.lock();
        state.writing_since = None;
        state.failure = failure;
        state.lost += lost;
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().outstanding
    }

    /// Lets the writer write what waits, and end.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Reports that the writer ended, without these entries.
    pub(super) fn done(&self, left: usize) {
        let mut state = self.lock();
        state.lost_in_total += left as u64;
        state.left = left;
        state.is_done = true;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until the writer ended, at most this long. Returns whether it did, and wrote everything.
    pub(super) fn wait_until_done(&self, longest: Duration) -> bool {
        let state = self.lock();
        let running = |state: &mut State| !state.is_done;
        let waited = self.changed.wait_timeout_while(state, longest, running);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_done && state.left == 0
    }
}
