//! Links of Keystone's lists, and the page that a query asks for.

use std::fmt;

use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Serialize;

use super::path;
use crate::error::Error;

/// All characters but the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The `links` of a list.
#[derive(Debug, Serialize)]
pub(super) struct Links {
    #[serde(rename = "self")]
    own: String,
    /// Always null, as in Keystone.
    previous: Option<String>,
    next: Option<String>,
}

impl Links {
    /// The links of a list at this URL, requested with this query.
    pub(super) fn new(url: String, query: Option<&str>, next: Option<&str>) -> Self {
        let next = next.map(|marker| {
            let kept = query.unwrap_or_default().split('&');
            let mut link = format!("{url}?");
            for pair in kept.filter(|pair| !pair.is_empty() && !is_marker(pair)) {
                link.push_str(pair);
                link.push('&');
            }
            link.push_str("marker=");
            link.extend(utf8_percent_encode(marker, RESERVED));
            link
        });
        let own = match query {
            Some(query) if !query.is_empty() => format!("{url}?{query}"),
            _ => url,
        };
        Self { own, previous: None, next }
    }
}

/// The marker and the page size in a query.
///
/// # Errors
///
/// A bad request if the size is not a whole number, or the marker is not UTF-8.
pub(super) fn page(head: &Parts) -> Result<(Option<String>, Option<usize>), Error> {
    let query = head.uri.query();
    let marker = path::query_value(query, "marker")?.filter(|marker| !marker.is_empty());
    Ok((marker, path::query_limit(query)?))
}

/// A path segment, encoded for a link.
#[derive(Debug)]
pub(super) struct Encoded<'a>(pub(super) &'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        if self.0.bytes().all(is_plain) {
            return f.write_str(self.0);
        }
        fmt::Display::fmt(&utf8_percent_encode(self.0, RESERVED), f)
    }
}

fn is_marker(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    percent_decode_str(name).eq(b"marker".iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_link_keeps_the_query_and_moves_the_marker() {
        let url = || "http://h/v3/credentials".to_owned();
        let links = Links::new(url(), Some("type=ec2&marker=a&limit=2"), Some("b/c"));
        assert_eq!(links.own, "http://h/v3/credentials?type=ec2&marker=a&limit=2");
        let next = links.next.unwrap();
        assert_eq!(next, "http://h/v3/credentials?type=ec2&limit=2&marker=b%2Fc");
        let links = Links::new(url(), Some("m%61rker=a"), Some("b"));
        assert_eq!(links.next.unwrap(), "http://h/v3/credentials?marker=b");
        let links = Links::new(url(), None, Some("b"));
        assert_eq!(links.own, "http://h/v3/credentials");
        assert_eq!(links.next.unwrap(), "http://h/v3/credentials?marker=b");
        assert_eq!(Links::new(url(), Some(""), None).next, None);
    }
}
