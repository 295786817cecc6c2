//! The policy of a form: the uploads that its signer allows.
//!
//! Source: AWS, "POST policy" (Amazon S3 API Reference).

use std::{fmt, ops::RangeInclusive, time::SystemTime};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::fields::{FormError, PostForm};
use crate::signature::date;

/// The fields that need no condition, in lower case.
const EXEMPT: [&str; 5] = ["awsaccesskeyid", "file", "policy", "signature", "x-amz-signature"];

/// The prefix of the names of further such fields.
const IGNORED: &str = "x-ignore-";

/// A policy document.
#[derive(Debug)]
pub(super) struct Policy {
    expiration: SystemTime,
    conditions: Vec<Condition>,
}

/// The document as sent. Duplicate and unknown members are rejected.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    expiration: String,
    conditions: Vec<Condition>,
}

/// A condition. Names are in lower case.
#[derive(Debug, PartialEq, Eq)]
enum Condition {
    Equal { name: String, value: String },
    Length(RangeInclusive<u64>),
    Prefix { name: String, value: String },
}

impl Policy {
    /// Parses the JSON of a policy.
    pub(super) fn parse(text: &[u8]) -> Result<Self, FormError> {
        // The parser's own message may repeat what the client sent.
        let document: Document = serde_json::from_slice(text).map_err(|_| FormError::Policy)?;
        let expiration = date::parse_iso(&document.expiration).ok_or(FormError::Policy)?;
        Ok(Self { expiration, conditions: document.conditions })
    }

    /// Checks that the policy allows this form for this bucket `now`. Returns the allowed size
    /// of the file, in bytes.
    ///
    /// A condition on the bucket is required: without one the form would be valid for every
    /// bucket of the signer. A missing field counts as empty.
    pub(super) fn check(
        &self,
        form: &PostForm,
        bucket: &str,
        now: SystemTime,
    ) -> Result<RangeInclusive<u64>, FormError> {
        if now > self.expiration {
            return Err(FormError::Expired);
        }
        let covers = |name: &str| self.conditions.iter().any(|condition| condition.is_on(name));
        for (name, value) in form.fields() {
            let name = name.to_ascii_lowercase();
            if name == "bucket" && value != bucket {
                return Err(FormError::Condition);
            }
            let exempt = EXEMPT.contains(&&*name) || name.starts_with(IGNORED);
            if !exempt && !covers(&name) {
                return Err(FormError::ExtraField);
            }
        }
        let value = |name: &str| match name {
            "bucket" => bucket,
            "key" => form.key(),
            name => form.field(name).unwrap_or_default(),
        };
        let holds = self.conditions.iter().all(|condition| condition.holds(value));
        if !holds || !covers("bucket") {
            return Err(FormError::Condition);
        }
        let ranges = self.conditions.iter().filter_map(Condition::length);
        Ok(ranges.fold(0..=u64::MAX, |all, next| {
            *all.start().max(next.start())..=*all.end().min(next.end())
        }))
    }
}

impl Condition {
    /// Returns whether the condition is on this field.
    fn is_on(&self, field: &str) -> bool {
        match self {
            Self::Equal { name, .. } | Self::Prefix { name, .. } => name == field,
            Self::Length(_) => false,
        }
    }

    fn length(&self) -> Option<&RangeInclusive<u64>> {
        match self {
            Self::Length(range) => Some(range),
            Self::Equal { .. } | Self::Prefix { .. } => None,
        }
    }

    /// Returns whether the condition holds for the fields. A condition on the length concerns
    /// the file and holds for all fields.
    fn holds<'a>(&self, field: impl Fn(&str) -> &'a str) -> bool {
        match self {
            Self::Equal { name, value } => field(name) == value,
            Self::Length(_) => true,
            // A type may be a list. Each part must match.
            Self::Prefix { name, value } if name == "content-type" => {
                field(name).split(',').all(|part| part.trim_start().starts_with(&**value))
            }
            Self::Prefix { name, value } => field(name).starts_with(&**value),
        }
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ConditionVisitor)
    }
}

struct ConditionVisitor;

impl<'de> Visitor<'de> for ConditionVisitor {
    type Value = Condition;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a condition")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Condition, A::Error> {
        let Some((name, value)) = members.next_entry::<String, String>()? else {
            return Err(A::Error::custom("a condition is empty"));
        };
        if members.next_key::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("a condition has two members"));
        }
        Ok(Condition::Equal { name: name.to_ascii_lowercase(), value })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Condition, A::Error> {
        let missing = || A::Error::custom("a condition is incomplete");
        let operator: String = parts.next_element()?.ok_or_else(missing)?;
        let operator = operator.to_ascii_lowercase();
        let condition = if operator == "content-length-range" {
            let least = parts.next_element()?.ok_or_else(missing)?;
            let most = parts.next_element()?.ok_or_else(missing)?;
            if least > most {
                return Err(A::Error::custom("a range is empty"));
            }
            Condition::Length(least..=most)
        } else {
            let name: String = parts.next_element()?.ok_or_else(missing)?;
            let value = parts.next_element()?.ok_or_else(missing)?;
            let name = name.strip_prefix('$').ok_or_else(|| A::Error::custom("no field"))?;
            let name = name.to_ascii_lowercase();
            match &*operator {
                "eq" => Condition::Equal { name, value },
                "starts-with" => Condition::Prefix { name, value },
                _ => return Err(A::Error::custom("an unknown condition")),
            }
        };
        if parts.next_element::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("a condition has too many parts"));
        }
        Ok(condition)
    }
}

#[cfg(test)]
mod tests;
