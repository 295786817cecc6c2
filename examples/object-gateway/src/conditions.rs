//! Conditional requests and ranges.

use std::{ops::Range, time::SystemTime};

use http::{HeaderMap, HeaderName, header};

use crate::{fault::Fault, store::Object};

/// Checks the conditions of a read, in the order of RFC 9110.
pub fn check_read(headers: &HeaderMap, object: &Object) -> Result<(), Fault> {
    if let Some(matches) = matches(headers, header::IF_MATCH, Some(object)) {
        if !matches {
            return Err(Fault::precondition_failed());
        }
    } else if changed_since(headers, header::IF_UNMODIFIED_SINCE, object) == Some(true) {
        return Err(Fault::precondition_failed());
    }
    if let Some(matches) = matches(headers, header::IF_NONE_MATCH, Some(object)) {
        if matches {
            return Err(Fault::not_modified());
        }
    } else if changed_since(headers, header::IF_MODIFIED_SINCE, object) == Some(false) {
        return Err(Fault::not_modified());
    }
    Ok(())
}

/// Checks the conditions of a write that replaces this object or creates one.
pub fn check_write(headers: &HeaderMap, current: Option<&Object>) -> Result<(), Fault> {
    let is_expected = matches(headers, header::IF_MATCH, current).unwrap_or(true);
    let is_new = !matches(headers, header::IF_NONE_MATCH, current).unwrap_or(false);
    if is_expected && is_new { Ok(()) } else { Err(Fault::precondition_failed()) }
}

/// The range in a header, for an object of this size. Anything but a single range is ignored.
pub fn range(header: Option<&str>, size: u64) -> Result<Option<Range<u64>>, Fault> {
    let Some((first, last)) = header.and_then(bounds) else { return Ok(None) };
    let range = match (first, last) {
        (Some(first), None) => first..size,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(size),
        (None, Some(length)) => size.saturating_sub(length)..size,
        (None, None) => return Ok(None),
    };
    if range.is_empty() {
        return Err(Fault::invalid_range(size));
    }
    Ok(Some(range))
}

/// The numbers of `bytes=a-b`, `bytes=a-` or `bytes=-b`.
fn bounds(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            // A number that overflows is larger than any object.
            Some(Some(text.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    let bounds = (number(first)?, number(last)?);
    // Not a range if the end is before the start.
    let ordered = !matches!(bounds, (Some(first), Some(last)) if last < first);
    ordered.then_some(bounds)
}

/// Whether the header contains the object's `ETag` or `*`.
fn matches(headers: &HeaderMap, name: HeaderName, object: Option<&Object>) -> Option<bool> {
    let header = headers.get(name)?.to_str().unwrap_or_default();
    let Some(object) = object else { return Some(false) };
    let unquoted = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let own = unquoted(&object.etag);
    Some(header.trim() == "*" || header.split(',').any(|tag| unquoted(tag) == own))
}

/// Whether the object was changed after the date in a header, in whole seconds.
fn changed_since(headers: &HeaderMap, name: HeaderName, object: &Object) -> Option<bool> {
    let date: SystemTime = httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()?;
    let modified = httpdate::parse_http_date(&httpdate::fmt_http_date(object.modified)).ok()?;
    Some(modified > date)
}
