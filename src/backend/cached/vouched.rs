//! How long a change feed vouches for the entries in memory.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long a complete notice counts.
pub(super) const TRUST: Duration = Duration::from_nanos(TRUST_NANOS);

const TRUST_NANOS: u64 = 1_000_000_000;

/// A feed vouches for all entries, as long as it sends complete notices often enough.
#[derive(Debug, Default)]
pub(super) struct Vouched {
    /// When the call for the last complete notice started, in nanoseconds since 1970; zero if
    /// no feed is followed.
    complete_at: AtomicU64,
}

impl Vouched {
    pub(super) fn renew(&self, asked_at: u64) {
        self.complete_at.store(asked_at, Ordering::Release);
    }

    /// Ends the trust; returns whether a feed vouched for the entries.
    pub(super) fn end(&self) -> bool {
        self.complete_at.swap(0, Ordering::AcqRel) != 0
    }

    /// Returns the maximum age of a change that has not taken effect; `None` if no feed
    /// vouches for the entries.
    pub(super) fn lag(&self, now: u64) -> Option<u64> {
        let complete_at = self.complete_at.load(Ordering::Acquire);
        // Unknown after the clock was set back.
        now.checked_sub(complete_at).filter(|lag| *lag < TRUST_NANOS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn trust_lasts_one_second_or_until_the_feed_ends() {
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
