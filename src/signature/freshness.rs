//! How long a signed request may be used.

use std::time::{Duration, SystemTime};

/// The furthest that a presigned request may expire in the future: what S3 allows.
const MAX_PRESIGNED: Duration = Duration::from_hours(7 * 24);

/// What a signed request says of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It was signed then.
    At(SystemTime),
    /// Nothing.
    Unknown,
    /// It is presigned, and may be used until then.
    Until(SystemTime),
}

/// Whether a signed request may be used `now`.
///
/// - [`At`](Freshness::At): if it was signed at most `ttl` ago, or, since clocks
///   differ, at most `ttl` in the future.
/// - [`Until`](Freshness::Until): up to and including that moment, which must be at
///   most seven days ahead. `ttl` plays no part.
/// - [`Unknown`](Freshness::Unknown): never. Who accepts such requests decides so
///   in the open: they can be replayed for ever.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use tower_credentials::signature::{Freshness, is_fresh};
///
/// let ttl = Duration::from_mins(15);
/// let signed = Freshness::At(UNIX_EPOCH + ttl);
/// assert!(is_fresh(signed, UNIX_EPOCH, ttl));
/// assert!(is_fresh(signed, UNIX_EPOCH + 2 * ttl, ttl));
/// assert!(!is_fresh(signed, UNIX_EPOCH + 3 * ttl, ttl));
/// ```
#[must_use]
pub fn is_fresh(freshness: Freshness, now: SystemTime, ttl: Duration) -> bool {
    match freshness {
        Freshness::At(then) => {
            let apart = now.duration_since(then).unwrap_or_else(|ahead| ahead.duration());
            apart <= ttl
        }
        Freshness::Unknown => false,
        Freshness::Until(end) => end.duration_since(now).is_ok_and(|left| left <= MAX_PRESIGNED),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const TTL: Duration = Duration::from_mins(15);
    const SECOND: Duration = Duration::from_secs(1);

    fn moment() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }

    #[test]
    fn a_signature_works_for_exactly_its_time_to_live_in_both_directions() {
        let at = Freshness::At(moment());
        for now in [moment(), moment() + TTL, moment() - TTL] {
            assert!(is_fresh(at, now, TTL), "{now:?}");
        }
        for now in [moment() + TTL + SECOND, moment() - TTL - SECOND, UNIX_EPOCH] {
            assert!(!is_fresh(at, now, TTL), "{now:?}");
        }
    }

    #[test]
    fn a_presigned_request_works_until_it_expires() {
        let until = Freshness::Until(moment());
        for now in [moment(), moment() - SECOND, moment() - MAX_PRESIGNED] {
            assert!(is_fresh(until, now, TTL), "{now:?}");
        }
        for now in [moment() + SECOND, moment() - MAX_PRESIGNED - SECOND] {
            assert!(!is_fresh(until, now, TTL), "{now:?}");
        }
    }

    #[test]
    fn what_is_not_dated_is_not_fresh() {
        assert!(!is_fresh(Freshness::Unknown, moment(), TTL));
    }
}
