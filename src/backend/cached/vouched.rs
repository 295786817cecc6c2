//! Until when a feed of changes vouches for what is remembered.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// For how long what a feed told last counts.
pub(super) const TRUST: Duration = Duration::from_nanos(TRUST_NANOS);

const TRUST_NANOS: u64 = 1_000_000_000;

/// A feed vouches for all that is remembered, as long as it says often enough that
/// nothing is missing.
#[derive(Debug, Default)]
pub(super) struct Vouched {
    /// When the last complete notice was asked for, in nanoseconds since 1970; zero if
    /// no feed is listened to.
    complete_at: AtomicU64,
}

impl Vouched {
    pub(super) fn renew(&self, asked_at: u64) {
        self.complete_at.store(asked_at, Ordering::Release);
    }

    /// No more; returns whether it vouched for anything.
    pub(super) fn end(&self) -> bool {
        self.complete_at.swap(0, Ordering::AcqRel) != 0
    }

    /// How long ago a change may have been made that was not felt; `None` if no feed vouches
    /// for anything.
    pub(super) fn lag(&self, now: u64) -> Option<u64> {
        let complete_at = self.complete_at.load(Ordering::Acquire);
        // After the clock was put back nobody knows.
        now.checked_sub(complete_at).filter(|lag| *lag < TRUST_NANOS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn it_vouches_for_a_second_only_and_until_it_ends() {
        let vouched = Vouched::default();
        assert_eq!(vouched.lag(NOW), None);
        vouched.renew(NOW);
        assert_eq!(vouched.lag(NOW + 5), Some(5));
        assert_eq!(vouched.lag(NOW + TRUST_NANOS), None);
        assert_eq!(vouched.lag(NOW - 1), None);
        vouched.renew(NOW + TRUST_NANOS);
        assert_eq!(vouched.lag(NOW + TRUST_NANOS), Some(0));
        assert!(vouched.end() && !vouched.end());
        assert_eq!(vouched.lag(NOW + TRUST_NANOS), None);
    }
}
