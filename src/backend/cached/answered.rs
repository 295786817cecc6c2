//! When an answer of the backend was asked for, and what makes it stale.

use super::writes::{Partition, Stamp};

/// When a call of the backend started: an answer is as old as its call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// In nanoseconds since 1970.
    pub(super) at: u64,
    pub(super) stamp: Stamp,
}

/// The origin of a record in memory.
#[derive(Clone, Copy)]
pub(super) struct Answered {
    pub(super) asked: Asked,
    /// The partitions of the record, the access key, the user and the project.
    pub(super) partitions: [Partition; 4],
    /// How often it was refreshed since.
    pub(super) refreshes: u16,
}

impl Asked {
    /// `None` if the answer is from the future, after the clock was set back.
    pub(super) fn age(self, now: u64) -> Option<u64> {
        now.checked_sub(self.at)
    }
}
