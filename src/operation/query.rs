//! The query of a request: each parameter once, in its one spelling.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{
    error::{OperationError, ambiguous},
    row::{PART_NUMBER, VALUED},
};

/// The most parameters that a request may have. Those of a signature and of any operation fit.
const MAX_PARAMETERS: usize = 24;

/// The largest number of a part.
const MAX_PART: u32 = 10_000;

/// A query that was checked. Values are decoded when they are read.
#[derive(Clone, Debug)]
pub(super) struct Query<'a>(Cow<'a, str>);

impl<'a> Query<'a> {
    /// Checks a query.
    pub(super) fn parse(text: &'a str) -> Result<Self, OperationError> {
        let query = Self(Cow::Borrowed(text));
        // Some parsers take a semicolon for a separator, and a plus for a space.
        if text.contains([';', '+']) {
            return Err(ambiguous("the query has an unescaped ';' or '+'"));
        }
        for (number, (name, value)) in query.raw().enumerate() {
            if name.is_empty() || name.contains('%') {
                return Err(ambiguous("a name in the query is empty or percent-encoded"));
            }
            if number >= MAX_PARAMETERS {
                return Err(ambiguous("the query has too many parameters"));
            }
            if query.raw().take(number).any(|(known, _)| known == name) {
                return Err(ambiguous("the query has a parameter twice"));
            }
            let value = decode(value).ok_or(ambiguous("a value in the query is malformed"))?;
            check_value(name, &value)?;
        }
        Ok(query)
    }

    /// Returns names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.raw().map(|(name, value)| (name, decode(value).unwrap_or_default()))
    }

    /// Returns the value of a parameter; empty if it has none.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.raw().find(|(known, _)| *known == name)?;
        decode(value)
    }

    /// Returns whether the query has a parameter.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.raw().map(|(name, _)| name)
    }

    pub(super) fn into_owned(self) -> Query<'static> {
        Query(Cow::Owned(self.0.into_owned()))
    }

    fn raw(&self) -> impl Iterator<Item = (&str, &str)> {
        let parts = (!self.0.is_empty()).then(|| self.0.split('&')).into_iter().flatten();
        parts.map(|part| part.split_once('=').unwrap_or((part, "")))
    }
}

/// Decodes a text once. `None` if it has a `%` without two hex digits, or is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let mut escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    if !escapes.all(|(at, _)| is_digit(bytes.get(at + 1)) && is_digit(bytes.get(at + 2))) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

/// Checks whether a parameter that names something has a value.
fn check_value(name: &str, value: &str) -> Result<(), OperationError> {
    if !VALUED.contains(&name) {
        return Ok(());
    }
    let is_number = || value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    let is_part =
        || is_number() && value.parse::<u32>().is_ok_and(|number| (1..=MAX_PART).contains(&number));
    if value.is_empty() || (name == PART_NUMBER && !is_part()) {
        return Err(ambiguous("a parameter that needs a value has none, or a wrong one"));
    }
    Ok(())
}
