//! For which answers a feed of changes vouches, and until when.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::writes::Stamp;

/// For how long what a feed told last counts.
pub(super) const TRUST: Duration = Duration::from_nanos(TRUST_NANOS);

const TRUST_NANOS: u64 = 1_000_000_000;

/// A feed vouches for answers that were asked for since it is listened to, and as long as
/// it says often enough that nothing is missing.
///
/// Whoever reads this may see an older time with a newer stamp: that vouches for less.
#[derive(Debug, Default)]
pub(super) struct Vouched {
    /// When the last complete notice was asked for, in nanoseconds since 1970; zero if
    /// no feed is listened to.
    complete_at: AtomicU64,
    since: AtomicU64,
}

impl Vouched {
    /// From now on, for answers that are asked for after this stamp was taken.
    pub(super) fn begin(&self, since: Stamp, asked_at: u64) {
        self.since.store(since.number(), Ordering::Release);
        self.complete_at.store(asked_at, Ordering::Release);
    }

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

    /// The same for an answer that was asked for at this stamp.
    pub(super) fn lag_of(&self, asked: Stamp, now: u64) -> Option<u64> {
        let lag = self.lag(now)?;
        (asked.number() >= self.since.load(Ordering::Acquire)).then_some(lag)
    }
}

#[cfg(test)]
mod tests {
    use super::super::writes::Writes;
    use super::*;

    const NOW: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn it_vouches_for_what_was_asked_for_since_and_for_a_second_only() {
        let (vouched, writes) = (Vouched::default(), Writes::default());
        let before = writes.stamp();
        assert_eq!(vouched.lag(NOW), None);
        vouched.begin(writes.advance(), NOW);
        assert_eq!(vouched.lag_of(before, NOW), None);
        assert_eq!(vouched.lag_of(writes.stamp(), NOW + 5), Some(5));
        assert_eq!(vouched.lag_of(writes.stamp(), NOW + TRUST_NANOS), None);
        assert_eq!(vouched.lag_of(writes.stamp(), NOW - 1), None);
        vouched.renew(NOW + TRUST_NANOS);
        assert_eq!(vouched.lag_of(writes.stamp(), NOW + TRUST_NANOS), Some(0));
        assert!(vouched.end() && !vouched.end());
        assert_eq!(vouched.lag_of(writes.stamp(), NOW + TRUST_NANOS), None);
    }
}
