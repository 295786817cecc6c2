//! Sets of actions.

use crate::operation::S3Action;

/// A set of S3's actions, one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ActionSet(u128);

const _: () = assert!(S3Action::ALL.len() <= u128::BITS as usize, "more actions than bits");

impl ActionSet {
    pub(super) fn of(actions: &[S3Action]) -> Self {
        Self(actions.iter().fold(0, |bits, action| bits | bit(*action)))
    }

    pub(super) fn contains(self, action: S3Action) -> bool {
        self.0 & bit(action) != 0
    }

    pub(super) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns all other actions.
    pub(super) fn complement(self) -> Self {
        Self(!self.0)
    }
}

const fn bit(action: S3Action) -> u128 {
    1 << action as u32
}
