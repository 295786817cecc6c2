//! Durations and times: in arguments and in reports.

use std::time::{Duration, SystemTime};

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use tower_credentials::domain::to_micros;

use crate::report::{Exit, Failure};

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// A time in an argument: a time, or a duration from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(SystemTime),
    In(Duration),
}

impl When {
    /// Returns the time. `option` is the name of the option, for error messages.
    pub(crate) fn time(self, now: SystemTime, option: &str) -> Result<SystemTime, Failure> {
        let time = match self {
            Self::At(time) => Some(time),
            Self::In(duration) => now.checked_add(duration),
        };
        time.filter(|time| rfc3339(*time).is_some()).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{option} must not be after the year 9999"))
        })
    }
}

/// Parses a duration such as `90d`, `24h`, `30m` or `45s`. `0` needs no unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || "expected a duration such as 90d, 24h, 30m or 45s".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let unit = text.chars().next_back().ok_or_else(invalid)?;
    let seconds = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(invalid()),
    };
    let number = &text[..text.len() - unit.len_utf8()];
    // `parse` also accepts a sign.
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "the duration is too long".to_owned())
}

/// Parses the overlap of a rotation.
pub(crate) fn parse_overlap(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        overlap if overlap > 30 * DAY => Err("must be at most 30d".to_owned()),
        overlap => Ok(overlap),
    }
}

/// Parses a time in the form of RFC 3339, in UTC if it has no offset, or a duration from now.
pub(crate) fn parse_when(text: &str) -> Result<When, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339));
    if let Ok(time) = time {
        return Ok(When::At(time.into()));
    }
    parse_duration(text)
        .map(When::In)
        .map_err(|error| format!("{error}, or a time such as 2027-01-31T23:59:59Z"))
}

/// Formats a time in UTC, in the form of RFC 3339.
pub(crate) fn show(time: SystemTime) -> String {
    rfc3339(time).unwrap_or_else(|| format!("{} microseconds after 1970", to_micros(time)))
}

fn rfc3339(time: SystemTime) -> Option<String> {
    let nanos = i128::from(to_micros(time)) * 1_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    time.to_offset(UtcOffset::UTC).format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs());
        for (text, expected) in
            [("90d", 7_776_000), ("24h", 86_400), ("30m", 1_800), ("45s", 45), ("0s", 0), ("0", 0)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "d",
            "90",
            "-1d",
            "+1d",
            "1.5h",
            "1w",
            "1 d",
            " 1d",
            "1d ",
            "1D",
            "1dd",
            "1h30m",
            "\u{ff19}\u{ff10}d",
            "9\u{ff10}d",
            "9\u{ff44}",
            "18446744073709551616s",
            "213503982334602d",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(seconds("18446744073709551615s"), Ok(u64::MAX));
    }

    #[test]
    fn overlap_is_at_most_thirty_days() {
        assert_eq!(parse_overlap("30d"), Ok(30 * DAY));
        assert_eq!(parse_overlap("0"), Ok(Duration::ZERO));
        for bad in ["31d", "721h", "2592001s"] {
            assert!(parse_overlap(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_rfc_3339_or_durations_from_now() {
        let at = |seconds| When::At(UNIX_EPOCH + Duration::from_secs(seconds));
        for (text, expected) in [
            ("2027-01-31T23:59:59Z", at(1_801_439_999)),
            ("2027-01-31T23:59:59", at(1_801_439_999)),
            ("2027-02-01T00:59:59+01:00", at(1_801_439_999)),
            ("1h", When::In(Duration::from_hours(1))),
        ] {
            assert_eq!(parse_when(text), Ok(expected), "{text}");
        }
        for bad in ["2027-02-31T00:00:00Z", "2027-01-31", "\u{ff12}027-01-31T23:59:59Z", "soon"] {
            assert!(parse_when(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_after_the_year_9999_are_rejected() {
        let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        for when in [When::In(Duration::from_secs(u64::MAX)), When::In(3_000_000 * DAY)] {
            assert_eq!(when.time(now, "--expires").unwrap_err().exit, Exit::Usage);
        }
        let last = parse_when("9999-12-31T23:59:59Z").unwrap().time(now, "--expires").unwrap();
        assert_eq!(show(last), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn times_are_shown_in_utc_with_their_microseconds() {
        let time = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        assert_eq!(show(time), "2026-09-21T14:13:20Z");
        assert_eq!(show(time + Duration::from_micros(5)), "2026-09-21T14:13:20.000005Z");
    }
}
