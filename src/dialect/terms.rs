//! The members for the terms of a credential, which the dialects of JSON share.

use std::time::{Duration, SystemTime};

use http::request::Parts;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::{
    json::{self, Object},
    media, path,
};
use crate::{
    authority::{DEFAULT_OVERLAP, GivenTerms, MAX_OVERLAP, TermFilter},
    domain::{Attributes, Credential, RotatedFrom, Status, TimeText, parse_time},
    error::Error,
};

/// The last segment of the path of a rotation.
pub(super) const ROTATE: &str = "rotate";

/// Returns the terms among the members of an object that the body has at this path.
pub(super) fn given(
    members: &Object<'_>,
    body: &[u8],
    place: &[&str],
) -> Result<GivenTerms, Error> {
    if !members.keys().any(|name| GivenTerms::is_name(name)) {
        return Ok(GivenTerms::default());
    }
    // The strict parser leaves out numbers and arrays.
    let mut body: Value = serde_json::from_slice(body)
        .map_err(|_| Error::bad_request("The body is not valid JSON."))?;
    for name in place {
        body = body.get_mut(name).map(Value::take).unwrap_or_default();
    }
    match body {
        Value::Object(members) => GivenTerms::parse(&members),
        _ => Ok(GivenTerms::default()),
    }
}

/// Returns the filters of a list.
pub(super) fn filter(query: Option<&str>) -> Result<TermFilter, Error> {
    const EXPIRES_BEFORE: &str = "expires_at__lt";
    let expires_before = path::query_value(query, EXPIRES_BEFORE)?;
    let time = |text: String| {
        parse_time(&text).ok_or_else(|| {
            let message = "expires_at__lt must be a time in UTC, such as 2026-12-31T23:59:59Z.";
            Error::bad_request(message)
        })
    };
    Ok(TermFilter {
        name: path::query_value(query, "name")?,
        name_contains: path::query_value(query, "name__contains")?,
        expires_before: expires_before.map(time).transpose()?,
    })
}

/// Parses the body of a rotation: `{"overlap_seconds": 86400}`, or nothing.
pub(super) fn overlap(head: &Parts, body: &[u8]) -> Result<Duration, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        overlap_seconds: Option<u64>,
    }

    if body.is_empty() {
        return Ok(DEFAULT_OVERLAP);
    }
    media::check_json(&head.headers)?;
    let most = MAX_OVERLAP.as_secs();
    let message = || {
        Error::bad_request(format!(
            "The body must be empty, or an object with overlap_seconds from 0 to {most}."
        ))
    };
    // The parser would also take an array for the object.
    json::object(body).map_err(|_| message())?;
    let body: Body = serde_json::from_slice(body).map_err(|_| message())?;
    let overlap = body.overlap_seconds.map_or(DEFAULT_OVERLAP, Duration::from_secs);
    if overlap <= MAX_OVERLAP { Ok(overlap) } else { Err(message()) }
}

/// The terms in a response.
#[derive(Default, Serialize)]
pub(super) struct Shape<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boundary: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotated_from: Option<Rotated<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Time>,
}

#[derive(Serialize)]
struct Rotated<'a> {
    id: &'a str,
    access: &'a str,
    expires_at: Time,
}

/// A time as `2026-01-02T03:04:05Z`.
#[derive(Clone, Copy)]
struct Time(SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(TimeText::of(self.0).as_str())
    }
}

impl<'a> Shape<'a> {
    /// The members in v3 and OS-EC2. Records without terms look as in Keystone, but an inactive
    /// key pair has its status.
    pub(super) fn of(credential: &'a Credential, now: SystemTime) -> Self {
        let mut shape = Self::without_status(credential, now);
        let has_terms = shape.has_terms();
        let is_inactive = credential.status == Status::Inactive;
        if credential.kind.is_ec2() && (has_terms || is_inactive) {
            shape.status = Some(credential.status.as_str());
        }
        shape.created_at = has_terms.then_some(Time(credential.created_at));
        shape
    }

    /// The members in IBM's dialect, whose blob has the status.
    pub(super) fn of_ibm(credential: &'a Credential, now: SystemTime) -> Self {
        let created_at = Some(Time(credential.created_at));
        Self { created_at, ..Self::without_status(credential, now) }
    }

    fn without_status(credential: &'a Credential, now: SystemTime) -> Self {
        let terms = &credential.terms;
        let expires_at = terms.expires_at().map(Time);
        Self {
            name: terms.name(),
            description: terms.description(),
            expired: expires_at.is_some().then(|| credential.is_expired(now)),
            expires_at,
            boundary: terms.boundary().map(|text| {
                serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
            }),
            rotated_from: terms.rotated_from().map(|from| {
                let RotatedFrom { id, access_key, expires_at } = from;
                let (id, access) = (id.as_str(), access_key.as_str());
                Rotated { id, access, expires_at: Time(*expires_at) }
            }),
            status: None,
            created_at: None,
        }
    }

    fn has_terms(&self) -> bool {
        self.name.is_some()
            || self.description.is_some()
            || self.expires_at.is_some()
            || self.boundary.is_some()
            || self.rotated_from.is_some()
    }

    /// Returns the attributes that no member of the shape replaces.
    pub(super) fn others(
        &self,
        attributes: &'a Attributes,
    ) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let replaced = [
            ("name", self.name.is_some()),
            ("description", self.description.is_some()),
            ("expires_at", self.expires_at.is_some()),
            ("expired", self.expired.is_some()),
            ("boundary", self.boundary.is_some()),
            ("rotated_from", self.rotated_from.is_some()),
            ("status", self.status.is_some()),
            ("created_at", self.created_at.is_some()),
        ];
        attributes.iter().filter(move |(name, _)| {
            !replaced.iter().any(|(known, is_shown)| *is_shown && known == name)
        })
    }
}
