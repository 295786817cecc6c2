//! The limits of keys: when they end, and what they may do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tower_credentials::domain::{Credential, Life};

use crate::world::START;

/// How long both keys of a rotation are valid, in seconds.
pub(crate) const OVERLAP: i64 = 300;

/// The expiry that requests name: not quite five minutes after the clock of the requests.
pub(crate) const END: &str = "2016-03-18T01:01:04Z";

/// The same in microseconds after the clock of the requests.
pub(crate) const END_MICROS: i64 = 299_772_260;

const MICROS: i64 = 1_000_000;

/// The boundary of every bounded key.
pub(crate) fn boundary() -> Value {
    json!({"permission": "read", "buckets": ["bucket"]})
}

/// A path within the boundary, and one outside it.
pub(crate) const WITHIN: &str = "/bucket/key";
pub(crate) const OUTSIDE: &str = "/other/key";

/// The limits of a stored key. Times are in seconds from the clock of the requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long ago it was created.
    pub(crate) age: i64,
    pub(crate) end: Option<i64>,
    /// Its life before a rotation shortened it, if one did.
    pub(crate) before_rotation: Option<Life>,
    pub(crate) bounded: bool,
}

impl Limits {
    /// The limits of a key that is a day old and that nothing limits.
    pub(crate) const NONE: Self =
        Self { age: 24 * 60 * 60, end: None, before_rotation: None, bounded: false };

    /// A new key with this expiry.
    pub(crate) const fn ending(age: i64, end: i64) -> Self {
        Self { age, end: Some(end), before_rotation: None, bounded: false }
    }

    /// The old key of a rotation.
    pub(crate) const fn retired(self, life: Life) -> Self {
        Self { before_rotation: Some(life), ..self }
    }

    pub(crate) const fn bounded(self) -> Self {
        Self { bounded: true, ..self }
    }

    /// The expiry in microseconds.
    pub(crate) fn end_micros(self) -> Option<i64> {
        self.end.map(|end| end * MICROS)
    }

    /// The expiry of a key that replaces this one after an overlap, in microseconds: as long
    /// from now as this key had from its creation, before any rotation.
    pub(crate) fn end_of_successor(self) -> Option<i64> {
        match self.before_rotation {
            Some(Life::Unlimited) => None,
            Some(Life::For(life)) => Some(micros(life)),
            None => self.end.map(|end| (end + self.age) * MICROS),
        }
    }

    /// The expiry of this key after a rotation with an overlap, in microseconds.
    pub(crate) fn end_after_rotation(self) -> i64 {
        self.end.map_or(OVERLAP, |end| end.min(OVERLAP)) * MICROS
    }

    /// Sets the limits of a record.
    pub(crate) fn apply(self, record: &mut Credential) {
        if let Some(end) = self.end {
            match self.before_rotation {
                Some(life) => drop(record.terms.shorten_to(time(end * MICROS), life)),
                None => record.terms.set_expires_at(Some(time(end * MICROS))),
            }
        }
        if self.bounded {
            record.terms.set_boundary(Some(boundary().to_string()));
            record.terms.set_name(Some("reads a bucket".into())).unwrap();
            record.terms.set_description(Some("a bounded key".into())).unwrap();
            record.attributes.insert("note".into(), "an attribute".into());
        }
    }
}

pub(crate) fn micros(duration: Duration) -> i64 {
    duration.as_micros().try_into().unwrap()
}

/// The time that is so many microseconds after the clock of the requests.
pub(crate) fn time(after: i64) -> SystemTime {
    let start = UNIX_EPOCH + START;
    let distance = Duration::from_micros(after.unsigned_abs());
    if after < 0 { start - distance } else { start + distance }
}

/// The expiry of a record in microseconds after the clock of the requests.
pub(crate) fn end_of(record: &Credential) -> Option<i64> {
    let start = UNIX_EPOCH + START;
    record.terms.expires_at().map(|end| match end.duration_since(start) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    })
}
