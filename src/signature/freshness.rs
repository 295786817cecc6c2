//! How long a signed request may be used, and whether it may be used now.

use std::time::{Duration, SystemTime};

/// The latest expiry of a presigned request from now, as in S3.
const MAX_PRESIGNED: Duration = Duration::from_hours(7 * 24);

/// The time that a signed request contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The time at which the request was signed.
    At(SystemTime),
    /// The request contains no time.
    Unknown,
    /// The time at which the presigned request expires.
    Until(SystemTime),
}

impl Freshness {
    /// Returns when the request was signed. `None` if it does not contain the time.
    pub(in crate::signature) fn signed_at(self) -> Option<SystemTime> {
        match self {
            Self::At(time) => Some(time),
            Self::Unknown | Self::Until(_) => None,
        }
    }
}

/// Returns whether a signed request may be used `now`.
///
/// - [`At`](Freshness::At): if the signing time is at most `max_skew` in the past or in
///   the future.
/// - [`Until`](Freshness::Until): up to and including that time, which must be at most seven
///   days ahead. `max_skew` does not matter.
/// - [`Unknown`](Freshness::Unknown): never. An app that accepts such requests must decide so
///   itself: they can be replayed forever.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use tower_credentials::signature::{Freshness, is_fresh};
///
/// let skew = Duration::from_mins(15);
/// let signed = Freshness::At(UNIX_EPOCH + skew);
/// assert!(is_fresh(signed, UNIX_EPOCH, skew));
/// assert!(is_fresh(signed, UNIX_EPOCH + 2 * skew, skew));
/// assert!(!is_fresh(signed, UNIX_EPOCH + 3 * skew, skew));
/// ```
#[must_use]
pub fn is_fresh(freshness: Freshness, now: SystemTime, max_skew: Duration) -> bool {
    match freshness {
        Freshness::At(then) => {
            let difference = now.duration_since(then).unwrap_or_else(|ahead| ahead.duration());
            difference <= max_skew
        }
        Freshness::Unknown => false,
        Freshness::Until(end) => end.duration_since(now).is_ok_and(|left| left <= MAX_PRESIGNED),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const MAX_SKEW: Duration = Duration::from_mins(15);
    const SECOND: Duration = Duration::from_secs(1);

    fn moment() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }

    #[test]
    fn signature_works_within_the_clock_skew_in_both_directions() {
        let at = Freshness::At(moment());
        for now in [moment(), moment() + MAX_SKEW, moment() - MAX_SKEW] {
            assert!(is_fresh(at, now, MAX_SKEW), "{now:?}");
        }
        for now in [moment() + MAX_SKEW + SECOND, moment() - MAX_SKEW - SECOND, UNIX_EPOCH] {
            assert!(!is_fresh(at, now, MAX_SKEW), "{now:?}");
        }
    }

    #[test]
    fn presigned_request_works_until_it_expires() {
        let until = Freshness::Until(moment());
        for now in [moment(), moment() - SECOND, moment() - MAX_PRESIGNED] {
            assert!(is_fresh(until, now, MAX_SKEW), "{now:?}");
        }
        for now in [moment() + SECOND, moment() - MAX_PRESIGNED - SECOND] {
            assert!(!is_fresh(until, now, MAX_SKEW), "{now:?}");
        }
    }

    #[test]
    fn request_without_a_time_is_not_fresh() {
        assert!(!is_fresh(Freshness::Unknown, moment(), MAX_SKEW));
    }
}
