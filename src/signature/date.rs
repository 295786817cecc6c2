//! Dates in the formats that signed requests use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{
    Date, Month, OffsetDateTime, PrimitiveDateTime,
    format_description::well_known::{Iso8601, Rfc2822},
};

/// The Julian day of 1970-01-01.
const EPOCH: i32 = 2_440_588;

/// Parses `20260102T030405Z`, the format of `X-Amz-Date`, and nothing else.
//
// Written by hand: every signed request has one, and a general parser takes ten times as long.
pub(crate) fn parse_amz(text: &str) -> Option<SystemTime> {
    let (digits, rest) = text.as_bytes().split_first_chunk::<8>()?;
    let [b'T', clock @ .., b'Z'] = rest else { return None };
    let clock: &[u8; 6] = clock.try_into().ok()?;
    let [year, month, day] = [&digits[..4], &digits[4..6], &digits[6..]].map(number);
    let [hour, minute, second] = [&clock[..2], &clock[2..4], &clock[4..]].map(number);
    let month = Month::try_from(u8::try_from(month?).ok()?).ok()?;
    let day = u8::try_from(day?).ok()?;
    let date = Date::from_calendar_date(i32::from(year?), month, day).ok()?;
    let days = u64::try_from(date.to_julian_day() - EPOCH).ok()?;
    let [hour, minute, second] = [hour?, minute?, second?].map(u64::from);
    let exists = hour < 24 && minute < 60 && second < 60;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).filter(|_| exists)
}

/// Parses up to four digits.
fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0'))
    })
}

/// Formats a time as in `X-Amz-Date`, in whole seconds.
pub(crate) fn format_amz(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
    )
}

/// Parses ISO 8601, extended or basic, with or without a fraction of the seconds, with `Z`,
/// an offset, or neither, which means UTC.
pub(crate) fn parse_iso(text: &str) -> Option<SystemTime> {
    let zoned = OffsetDateTime::parse(text, &Iso8601::PARSING).ok();
    let date = zoned.or_else(|| {
        // This parser would ignore a zone that it does not know.
        let (_, time) = text.split_once('T')?;
        let plain = time.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b','));
        let date = PrimitiveDateTime::parse(text, &Iso8601::PARSING).ok();
        date.filter(|_| plain).map(PrimitiveDateTime::assume_utc)
    });
    system_time(date?)
}

/// Parses the date of an HTTP header in any form of RFC 9110, or in that of RFC 2822, which
/// old S3 clients send: with `+0000` instead of `GMT`.
pub(crate) fn parse_http(text: &str) -> Option<SystemTime> {
    let old = || system_time(OffsetDateTime::parse(text, &Rfc2822).ok()?);
    httpdate::parse_http_date(text).ok().or_else(old)
}

/// Parses seconds since 1970, the expiry of a presigned request of version 2.
pub(crate) fn parse_epoch(text: &str) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(text.parse().ok()?))
}

/// Converts a date. `None` before 1970, which not every system can represent.
fn system_time(date: OffsetDateTime) -> Option<SystemTime> {
    let since = u64::try_from(date.unix_timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::new(since, date.nanosecond()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-02T03:04:05Z.
    fn moment() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }

    #[test]
    fn amz_date_has_exactly_one_form() {
        assert_eq!(parse_amz("20260102T030405Z"), Some(moment()));
        for bad in [
            "",
            "20260102",
            "20260102T030405",
            "20260102T030405z",
            "20260102t030405Z",
            "20260102T030405Z ",
            " 0260102T030405Z",
            "+2026102T030405Z",
            "+20260102T03045Z",
            "20261302T030405Z",
            "20260230T030405Z",
            "20260102T240405Z",
            "20260102T036005Z",
            "2026-01-02T03:04",
            "２026010T03040Z",
        ] {
            assert_eq!(parse_amz(bad), None, "{bad}");
        }
    }

    #[test]
    fn iso_dates_parse_in_both_forms_with_and_without_zone() {
        for good in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05+00:00",
            "2026-01-02T05:04:05+02:00",
            "2026-01-01T22:34:05-04:30",
            "20260102T030405Z",
            "20260102T030405",
            "20260102T050405+0200",
            "2026-01-02T03:04:05.000Z",
            "2026-01-02T03:04:05.000",
        ] {
            assert_eq!(parse_iso(good), Some(moment()), "{good}");
        }
        let fraction = moment() + Duration::from_millis(250);
        for good in ["2026-01-02T03:04:05.25Z", "20260102T030405.250000", "2026-01-02T03:04:05,25"]
        {
            assert_eq!(parse_iso(good), Some(fraction), "{good}");
        }
        for bad in [
            "",
            "now",
            "1767323045",
            "2026-01-02",
            "2026-01-02T03:04:05+99:99",
            "2026-01-02T03:04:05 Z",
            "2026-01-02T03:04:05Zulu",
            "2026-01-02T03:04:05+",
            "2026-13-02T03:04:05Z",
            "2026-01-02T25:04:05Z",
            "1926-01-02T03:04:05Z",
            "Fri, 02 Jan 2026 03:04:05 GMT",
        ] {
            assert_eq!(parse_iso(bad), None, "{bad}");
        }
    }

    #[test]
    fn http_dates_parse_in_every_form_that_s3_clients_send() {
        for good in [
            "Fri, 02 Jan 2026 03:04:05 GMT",
            "Fri, 02 Jan 2026 03:04:05 +0000",
            "Fri, 02 Jan 2026 05:04:05 +0200",
            "Friday, 02-Jan-26 03:04:05 GMT",
            "Fri Jan  2 03:04:05 2026",
        ] {
            assert_eq!(parse_http(good), Some(moment()), "{good}");
        }
        for bad in ["", "yesterday", "2026-01-02T03:04:05Z", "Fri, 32 Jan 2026 03:04:05 GMT"] {
            assert_eq!(parse_http(bad), None, "{bad}");
        }
    }

    #[test]
    fn invalid_epoch_is_none() {
        assert_eq!(parse_epoch("1767323045"), Some(moment()));
        for bad in ["", "-1", "1.5", "18446744073709551615", "99999999999999999999999"] {
            assert_eq!(parse_epoch(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn amz_date_is_parsed_like_by_the_general_parser(text in "(19|20)[0-9]{2}[01][0-9][0-3][0-9]T[0-2][0-9][0-6][0-9][0-6][0-9]Z") {
            prop_assert_eq!(parse_amz(&text), parse_iso(&text));
        }

        #[test]
        fn parsing_a_date_never_panics(text in ".{0,40}") {
            let _ = (parse_amz(&text), parse_iso(&text), parse_http(&text), parse_epoch(&text));
        }

        #[test]
        fn parsing_almost_a_date_never_panics(text in "[-+]?[0-9]{2,9}[-0-9TW]{0,9}T?[-+0-9:.,Z]{0,24}") {
            let _ = (parse_amz(&text), parse_iso(&text), parse_http(&text), parse_epoch(&text));
        }
    }
}
