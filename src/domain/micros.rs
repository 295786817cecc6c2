//! Times in the form in which stores keep them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the microseconds since 1970. Times out of range are clamped to [`i64::MIN`] and
/// [`i64::MAX`].
#[must_use]
pub fn to_micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |n| -n),
    }
}

/// Returns the time for a result of [`to_micros`], or `None` if the system cannot represent
/// it.
#[must_use]
pub fn from_micros(micros: i64) -> Option<SystemTime> {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_microseconds_on_both_sides_of_1970_come_back() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, -62_135_596_800_000_000] {
            assert_eq!(from_micros(micros).map(to_micros), Some(micros));
        }
    }
}
