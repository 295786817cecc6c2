//! Which bucket and which key a request names.

use std::{borrow::Cow, net::IpAddr};

use super::{
    error::{OperationError, ambiguous},
    query::decode,
    table::Level,
};

/// The longest key, in bytes, as in S3.
const MAX_KEY: usize = 1_024;

/// The longest name of a bucket, in bytes. Old ones of Amazon's have this length.
const MAX_BUCKET: usize = 255;

/// What a request names: an object, a bucket without a key, or neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) bucket: Option<Cow<'a, str>>,
    pub(super) key: Option<Cow<'a, str>>,
}

impl<'a> Target<'a> {
    /// Reads the host and the path.
    pub(super) fn parse(
        host: &'a str,
        path: &'a str,
        base_domains: &[String],
        strict: bool,
    ) -> Result<Self, OperationError> {
        let path = path.strip_prefix('/').ok_or(ambiguous("the path does not begin with '/'"))?;
        if let Some(bucket) = bucket_of_host(host, base_domains)? {
            check_bucket(&bucket)?;
            return Ok(Self { bucket: Some(bucket), key: key(path, strict)? });
        }
        if path.is_empty() {
            return Ok(Self { bucket: None, key: None });
        }
        let (bucket, rest) = path.split_once('/').unwrap_or((path, ""));
        check_bucket(bucket)?;
        Ok(Self { bucket: Some(bucket.into()), key: key(rest, strict)? })
    }

    pub(super) fn level(&self) -> Level {
        match (&self.bucket, &self.key) {
            (None, _) => Level::Service,
            (Some(_), None) => Level::Bucket,
            (Some(_), Some(_)) => Level::Object,
        }
    }
}

/// Returns what precedes a base domain in a host, in lower case. `None` if the host is not below
/// one. Base domains are in lower case.
pub(crate) fn bucket_below<'a>(host: &'a str, base_domains: &[String]) -> Option<Cow<'a, str>> {
    if base_domains.is_empty() {
        return None;
    }
    let host = without_port(host);
    let before = |domain: &String| {
        let before = host.get(..host.len().checked_sub(domain.len())?)?;
        let end = host.get(before.len()..)?;
        before.strip_suffix('.').filter(|_| end.eq_ignore_ascii_case(domain))
    };
    // The shortest bucket is below the longest domain.
    let bucket = base_domains.iter().filter_map(before).min_by_key(|bucket| bucket.len())?;
    let is_lower = !bucket.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if is_lower { bucket.into() } else { bucket.to_ascii_lowercase().into() })
}

/// Returns the bucket that a host names. `None` if the path names it.
fn bucket_of_host<'a>(
    host: &'a str,
    base_domains: &[String],
) -> Result<Option<Cow<'a, str>>, OperationError> {
    if base_domains.is_empty() {
        return Ok(None);
    }
    let bare = without_port(host);
    let is_base = base_domains.iter().any(|domain| bare.eq_ignore_ascii_case(domain));
    match (is_base, bucket_below(host, base_domains)) {
        (true, Some(_)) => Err(ambiguous("the host is a base domain and below another one")),
        (false, Some(bucket)) => Ok(Some(bucket)),
        (true, None) => Ok(None),
        // Other servers take such a host for the name of a bucket.
        (false, None) if bare.eq_ignore_ascii_case("localhost") || is_address(bare) => Ok(None),
        (false, None) => Err(ambiguous("the host is not below a base domain")),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    }
}

fn is_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse::<IpAddr>().is_ok()
}

/// Checks a bucket's name as it was sent: every character has one spelling.
pub(super) fn check_bucket(bucket: &str) -> Result<(), OperationError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    let is_dots = bucket == "." || bucket == "..";
    if bucket.is_empty() || bucket.len() > MAX_BUCKET || is_dots || !bucket.bytes().all(allowed) {
        return Err(ambiguous(
            "the name of the bucket is empty or has other characters than a-z0-9-._",
        ));
    }
    Ok(())
}

/// Returns whether this can be the name of a bucket.
pub(crate) fn is_bucket(name: &str) -> bool {
    check_bucket(name).is_ok()
}

/// Returns whether a key, or the beginning of keys, is one that every store reads alike.
pub(crate) fn is_strict_key(key: &str) -> bool {
    check_key(key, true).is_ok()
}

/// Decodes a key once, and checks it. `None` if it is empty.
pub(super) fn key(raw: &str, strict: bool) -> Result<Option<Cow<'_, str>>, OperationError> {
    if raw.is_empty() {
        return Ok(None);
    }
    let key = decode(raw).ok_or(ambiguous("the key is malformed or not UTF-8"))?;
    check_key(&key, strict)?;
    Ok(Some(key))
}

/// Checks a decoded key. Strict checks refuse what stores on folders, and proxies that decode
/// twice, read as another key.
pub(super) fn check_key(key: &str, strict: bool) -> Result<(), OperationError> {
    if key.len() > MAX_KEY {
        return Err(ambiguous("the key is longer than 1,024 bytes"));
    }
    if !strict {
        return Ok(());
    }
    if key.chars().any(char::is_control) || key.contains('\\') {
        return Err(ambiguous("the key has a control character or a backslash"));
    }
    let mut segments = key.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment == "." || segment == ".." || (segment.is_empty() && !is_last) {
            return Err(ambiguous("the key has an empty or a dot segment"));
        }
    }
    if key.contains('%') && ["%2e", "%2f", "%5c", "%00"].iter().any(|code| has(key, code)) {
        return Err(ambiguous("the key is percent-encoded twice"));
    }
    Ok(())
}

/// Returns whether a text contains an escape sequence, in either case.
fn has(text: &str, code: &str) -> bool {
    text.as_bytes().windows(code.len()).any(|part| part.eq_ignore_ascii_case(code.as_bytes()))
}
