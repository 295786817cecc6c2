//! The terms of a credential: what a client may set, and within which bounds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::checks::Authority;
use crate::{
    boundary::Boundary,
    domain::{Attributes, Credential, Kind, Terms, UserId, parse_time},
    error::Error,
};

/// The names of the terms that a client can set.
const NAMES: [&str; 4] = ["boundary", "description", "expires_at", "name"];

/// The names of the members of a response that a client cannot set.
pub(crate) const COMPUTED: [&str; 3] = ["created_at", "expired", "rotated_from"];

/// The shortest life of a new credential.
const MIN_LIFE: Duration = Duration::from_mins(1);

/// The terms in a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenTerms {
    pub(crate) name: Given<String>,
    pub(crate) description: Given<String>,
    pub(crate) expires_at: Given<SystemTime>,
    /// The text of a JSON object.
    pub(crate) boundary: Given<String>,
}

/// A member of a request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Given<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

/// Selects credentials of a list by their terms.
#[derive(Debug, Default)]
pub(crate) struct TermFilter {
    pub(crate) name: Option<String>,
    pub(crate) name_contains: Option<String>,
    pub(crate) expires_before: Option<SystemTime>,
}

impl Authority {
    /// The terms of a new credential of this type.
    pub(super) fn new_terms(
        &self,
        given: &GivenTerms,
        kind: &Kind,
        user_id: &UserId,
    ) -> Result<Terms, Error> {
        let now = self.clock.now();
        let mut terms = Terms::default();
        set_texts(&mut terms, given, kind, user_id)?;
        match given.expires_at {
            Given::Value(time) if time.duration_since(now).unwrap_or_default() < MIN_LIFE => {
                return Err(Error::bad_request("expires_at must be at least a minute ahead."));
            }
            Given::Value(time) => {
                self.check_end(Some(time), now)?;
                terms.set_expires_at(Some(time));
            }
            Given::Null if kind.is_ec2() => self.check_end(None, now)?,
            Given::Absent if kind.is_ec2() => {
                terms.set_expires_at(self.latest_end(now).map(whole_seconds));
            }
            Given::Absent | Given::Null => {}
        }
        Ok(terms)
    }

    /// Changes the terms of a record as far as they are given.
    pub(super) fn change_terms(
        &self,
        given: &GivenTerms,
        changed: &mut Credential,
    ) -> Result<(), Error> {
        let Credential { terms, kind, user_id, created_at, attributes, .. } = changed;
        set_texts(terms, given, kind, user_id)?;
        let stored = terms.expires_at().map(whole_seconds);
        match given.expires_at {
            // Sent back as it was shown.
            Given::Value(time) if Some(time) == stored => {}
            Given::Null if stored.is_none() => {}
            Given::Value(time) => {
                self.check_end(Some(time), *created_at)?;
                terms.set_expires_at(Some(time));
            }
            Given::Null => {
                self.check_end(None, *created_at)?;
                terms.set_expires_at(None);
            }
            Given::Absent => {}
        }
        // An earlier release stored a member of this name as an attribute.
        for name in given.names() {
            attributes.remove(name);
        }
        Ok(())
    }

    /// The latest end of a key that is created at this time; `None` without a maximum life.
    pub(super) fn latest_end(&self, created_at: SystemTime) -> Option<SystemTime> {
        created_at.checked_add(self.max_key_life?)
    }

    /// Checks an end against the maximum life.
    fn check_end(&self, end: Option<SystemTime>, start: SystemTime) -> Result<(), Error> {
        let Some(latest) = self.latest_end(start) else { return Ok(()) };
        if end.is_some_and(|end| end <= latest) {
            return Ok(());
        }
        let seconds = latest.duration_since(start).unwrap_or_default().as_secs();
        Err(Error::bad_request(format!(
            "expires_at must be at most {seconds} seconds after the creation of the key."
        )))
    }
}

impl GivenTerms {
    /// Returns whether this is the name of a term that a client can set.
    pub(crate) fn is_name(name: &str) -> bool {
        NAMES.contains(&name)
    }

    /// Parses the terms among the members of an object.
    pub(crate) fn parse(members: &Attributes) -> Result<Self, Error> {
        let expires_at = match text(members, "expires_at")? {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(text) => Given::Value(parse_time(&text).ok_or_else(|| {
                let message = "expires_at must be a time in UTC, such as 2026-12-31T23:59:59Z, \
                               or null.";
                Error::bad_request(message)
            })?),
        };
        let boundary = match members.get("boundary") {
            None => Given::Absent,
            Some(Value::Null) => Given::Null,
            Some(boundary @ Value::Object(_)) => Given::Value(boundary.to_string()),
            Some(_) => return Err(Error::bad_request("boundary must be an object.")),
        };
        let (name, description) = (text(members, "name")?, text(members, "description")?);
        Ok(Self { name, description, expires_at, boundary })
    }

    /// Returns the names of the given terms.
    fn names(&self) -> Vec<&'static str> {
        let Self { name, description, expires_at, boundary } = self;
        let given = [
            ("boundary", boundary.is_present()),
            ("description", description.is_present()),
            ("expires_at", expires_at.is_present()),
            ("name", name.is_present()),
        ];
        given.into_iter().filter_map(|(name, is_given)| is_given.then_some(name)).collect()
    }
}

impl<T> Given<T> {
    fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

impl TermFilter {
    pub(super) fn admits(&self, credential: &Credential) -> bool {
        let Self { name, name_contains, expires_before } = self;
        let terms = &credential.terms;
        name.as_deref().is_none_or(|name| terms.name() == Some(name))
            && name_contains
                .as_deref()
                .is_none_or(|part| terms.name().is_some_and(|name| name.contains(part)))
            && expires_before.is_none_or(|time| terms.expires_at().is_some_and(|end| end < time))
    }
}

fn text(members: &Attributes, name: &'static str) -> Result<Given<String>, Error> {
    match members.get(name) {
        None => Ok(Given::Absent),
        Some(Value::Null) => Ok(Given::Null),
        Some(Value::String(text)) => Ok(Given::Value(text.clone())),
        Some(_) => Err(Error::bad_request(format!("{name} must be a string."))),
    }
}

/// Sets all given terms but the expiry. Only key pairs have an expiry and a boundary.
fn set_texts(
    terms: &mut Terms,
    given: &GivenTerms,
    kind: &Kind,
    user_id: &UserId,
) -> Result<(), Error> {
    let limits = [
        ("expires_at", matches!(given.expires_at, Given::Value(_))),
        ("boundary", matches!(given.boundary, Given::Value(_))),
    ];
    if let Some((name, _)) = limits.into_iter().find(|(_, is_set)| *is_set && !kind.is_ec2()) {
        return Err(Error::bad_request(format!("{name} is for credentials of type ec2 only.")));
    }
    match &given.name {
        Given::Absent => {}
        Given::Null => terms.set_name(None)?,
        Given::Value(name) => terms.set_name(Some(name.clone()))?,
    }
    match &given.description {
        Given::Absent => {}
        Given::Null => terms.set_description(None)?,
        Given::Value(text) => terms.set_description(Some(text.clone()))?,
    }
    match &given.boundary {
        Given::Absent => {}
        Given::Null => terms.set_boundary(None),
        Given::Value(text) => {
            Boundary::parse(text, user_id.as_str())?;
            terms.set_boundary(Some(text.clone()));
        }
    }
    Ok(())
}

/// Cuts a time to whole seconds, as dialects render it.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}
