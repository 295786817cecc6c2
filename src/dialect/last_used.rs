//! The member `last_used`, in the dialects that have it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::authority::LastUsed;

pub(super) const NAME: &str = crate::authority::LAST_USED;

/// The value of the member: a time as `2026-01-02T03:04:05Z`, or null.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastUse(Option<SystemTime>);

impl LastUse {
    /// The value, or `None` if the member is left out.
    pub(super) fn of(last_used: LastUsed) -> Option<Self> {
        match last_used {
            LastUsed::At(time) => Some(Self(Some(time))),
            LastUsed::Never => Some(Self(None)),
            LastUsed::NoLog | LastUsed::Unknown => None,
        }
    }
}

impl Serialize for LastUse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(time) => serializer.serialize_str(&timestamp(time)),
            None => serializer.serialize_none(),
        }
    }
}

/// The format ends with the year 9999.
fn timestamp(time: SystemTime) -> String {
    let end = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let time = OffsetDateTime::from(time.clamp(UNIX_EPOCH, end));
    let ((year, month, day), (hour, minute, second)) = (time.to_calendar_date(), time.to_hms());
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_in_whole_seconds_and_end_with_the_year_9999() {
        let time = UNIX_EPOCH + Duration::from_millis(1_767_323_045_999);
        assert_eq!(timestamp(time), "2026-01-02T03:04:05Z");
        let far = UNIX_EPOCH + Duration::from_secs(400_000_000_000);
        assert_eq!(timestamp(far), "9999-12-31T23:59:59Z");
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
    }
}
