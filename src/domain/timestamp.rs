//! Times as text: RFC 3339 in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{Date, Month, OffsetDateTime, Time};

/// Returns the time as `2026-01-02T03:04:05Z`, cut to whole seconds. Clamps it to the years 1970
/// to 9999, the last that the form has.
#[must_use]
pub fn format_time(time: SystemTime) -> String {
    TimeText::of(time).as_str().to_owned()
}

/// The text of a time that [`format_time`] returns, in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeText([u8; 20]);

impl TimeText {
    pub(crate) fn of(time: SystemTime) -> Self {
        let end = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        let time = OffsetDateTime::from(time.clamp(UNIX_EPOCH, end));
        let ((year, month, day), (hour, minute, second)) = (time.to_calendar_date(), time.to_hms());
        let [century, year] = [year / 100, year % 100].map(|it| u8::try_from(it).unwrap_or(0));
        let mut text = *b"0000-00-00T00:00:00Z";
        for (at, number) in [
            (0, century),
            (2, year),
            (5, u8::from(month)),
            (8, day),
            (11, hour),
            (14, minute),
            (17, second),
        ] {
            (text[at], text[at + 1]) = (b'0' + number / 10, b'0' + number % 10);
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Parses a time in UTC, such as `2026-01-02T03:04:05Z`, and cuts it to whole seconds.
///
/// Accepts a fraction, and a missing `Z` as in Keystone. Rejects local offsets, leap seconds and
/// times before 1970.
#[must_use]
pub fn parse_time(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (text, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_fraction = (1..=9).contains(&fraction.len()) && is_digits(fraction);
    let bytes = text.as_bytes();
    let is_separated = bytes.len() == 19
        && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]
            .into_iter()
            .all(|(at, separator)| bytes[at] == separator);
    if !is_fraction || !is_separated {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| is_digits(digits))?;
        digits.parse::<u16>().ok()
    };
    let small = |from: usize| u8::try_from(number(from, from + 2)?).ok();
    let month = Month::try_from(small(5)?).ok()?;
    let date = Date::from_calendar_date(number(0, 4)?.into(), month, small(8)?).ok()?;
    let time = Time::from_hms(small(11)?, small(14)?, small(17)?).ok()?;
    let seconds = date.with_time(time).assume_utc().unix_timestamp();
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds.try_into().ok()?))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_utc_in_whole_seconds_and_end_with_the_year_9999() {
        let time = UNIX_EPOCH + Duration::from_millis(1_767_323_045_999);
        assert_eq!(format_time(time), "2026-01-02T03:04:05Z");
        let far = UNIX_EPOCH + Duration::from_secs(400_000_000_000);
        assert_eq!(format_time(far), "9999-12-31T23:59:59Z");
        assert_eq!(format_time(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn only_times_in_utc_are_parsed() {
        let time = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        for good in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05.999999Z"] {
            assert_eq!(parse_time(good), Some(time), "{good}");
        }
        for bad in [
            "",
            "2026-01-02",
            "2026-01-02 03:04:05Z",
            "2026-01-02t03:04:05z",
            "2026-01-02T03:04:05+00:00",
            "2026-01-02T03:04:05-02:00",
            "2026-01-02T03:04:60Z",
            "2026-12-31T23:59:60Z",
            "2026-02-29T00:00:00Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05.1234567890Z",
            "2026-01-02T03:04:05ZZ",
            "+026-01-02T03:04:05Z",
            "1969-12-31T23:59:59Z",
            "10000-01-01T00:00:00Z",
            "2026-01-0\u{662}T03:04:05Z",
            "1767323045",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn formatted_time_is_parsed_again(seconds in 0_u64..253_402_300_800) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(parse_time(&format_time(time)), Some(time));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,30}") {
            let _ = parse_time(&text);
        }
    }
}
