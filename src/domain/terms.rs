//! [`Terms`]: the name, the expiry and the boundary of a credential.

use std::{
    error::Error as StdError,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{AccessKey, CredentialId, from_micros, to_micros};

/// The longest name, in characters.
const MAX_NAME: usize = 128;

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 1_024;

/// What a credential is called, when it ends, and the most that it may do.
///
/// Most records have none of it, and take the space of a pointer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms(Option<Box<Fields>>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Fields {
    name: Option<String>,
    description: Option<String>,
    expires_at: Option<SystemTime>,
    boundary: Option<String>,
    enabled_at: Option<SystemTime>,
    original_life: Option<Life>,
    rotated_from: Option<RotatedFrom>,
}

/// How long a credential is valid from its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Without end.
    Unlimited,
    /// For this time.
    For(Duration),
}

/// The credential that a credential replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatedFrom {
    /// Its id.
    pub id: CredentialId,
    /// Its access key.
    pub access_key: AccessKey,
    /// When it ends.
    pub expires_at: SystemTime,
}

impl Terms {
    /// Returns the name, which need not be unique.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref()?.name.as_deref()
    }

    /// Returns the description.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.0.as_ref()?.description.as_deref()
    }

    /// Returns the expiry: from this time on the credential may not be used.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.as_ref()?.expires_at
    }

    /// Returns the boundary as the client sent it: the JSON text of an object, which
    /// [`Boundary::parse`](crate::boundary::Boundary::parse) accepts.
    #[must_use]
    pub fn boundary(&self) -> Option<&str> {
        self.0.as_ref()?.boundary.as_deref()
    }

    /// Returns when the credential was last changed from inactive to active.
    #[must_use]
    pub fn enabled_at(&self) -> Option<SystemTime> {
        self.0.as_ref()?.enabled_at
    }

    /// Returns the life that the credential had before a rotation shortened it.
    #[must_use]
    pub fn original_life(&self) -> Option<Life> {
        self.0.as_ref()?.original_life
    }

    /// Returns the credential that this one replaces.
    #[must_use]
    pub fn rotated_from(&self) -> Option<&RotatedFrom> {
        self.0.as_ref()?.rotated_from.as_ref()
    }

    /// Returns whether the credential may be used less than one without terms: it has an expiry
    /// or a boundary.
    #[must_use]
    pub fn are_limiting(&self) -> bool {
        self.0.as_ref().is_some_and(|it| it.expires_at.is_some() || it.boundary.is_some())
    }

    /// Sets the name.
    ///
    /// # Errors
    ///
    /// [`InvalidTerm`] if it is empty, has more than 128 characters or a control character.
    pub fn set_name(&mut self, name: Option<String>) -> Result<(), InvalidTerm> {
        let is_valid = |name: &String| {
            !name.is_empty() && name.chars().nth(MAX_NAME).is_none() && !name.contains(is_control)
        };
        if !name.as_ref().is_none_or(is_valid) {
            return Err(InvalidTerm::Name);
        }
        self.set(|fields| fields.name = name);
        Ok(())
    }

    /// Sets the description.
    ///
    /// # Errors
    ///
    /// [`InvalidTerm`] if it has more than 1,024 characters.
    pub fn set_description(&mut self, description: Option<String>) -> Result<(), InvalidTerm> {
        if description.as_ref().is_some_and(|text| text.chars().nth(MAX_DESCRIPTION).is_some()) {
            return Err(InvalidTerm::Description);
        }
        self.set(|fields| fields.description = description);
        Ok(())
    }

    /// Sets the expiry, cut to whole microseconds. Times before 1970 become 1970. The original
    /// life is forgotten.
    pub fn set_expires_at(&mut self, expires_at: Option<SystemTime>) {
        let expires_at = expires_at.and_then(|time| from_micros(to_micros(time).max(0)));
        self.set(|fields| (fields.expires_at, fields.original_life) = (expires_at, None));
    }

    /// Sets the boundary. The caller must have parsed it.
    pub fn set_boundary(&mut self, boundary: Option<String>) {
        self.set(|fields| fields.boundary = boundary);
    }

    /// Sets when the credential was last enabled.
    pub fn set_enabled_at(&mut self, time: SystemTime) {
        self.set(|fields| fields.enabled_at = from_micros(to_micros(time)));
    }

    /// Sets the expiry for a rotation, unless the credential ends sooner. `life` is its life so
    /// far. Returns the expiry.
    pub fn shorten_to(&mut self, end: SystemTime, life: Life) -> SystemTime {
        let end = self.expires_at().map_or(end, |known| known.min(end));
        let original = self.original_life().unwrap_or(life);
        self.set_expires_at(Some(end));
        self.set(|fields| fields.original_life = Some(original));
        self.expires_at().unwrap_or(end)
    }

    /// Sets the credential that this one replaces.
    pub fn set_rotated_from(&mut self, rotated_from: Option<RotatedFrom>) {
        self.set(|fields| fields.rotated_from = rotated_from);
    }

    /// Returns the text for stores, without the expiry: JSON of a stable form. `None` if nothing
    /// else is set.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "strings and numbers always serialize")]
    pub fn encode(&self) -> Option<String> {
        let fields = self.0.as_deref()?;
        // Destructured in full so that a new field cannot be forgotten here.
        let Fields {
            name,
            description,
            expires_at: _,
            boundary,
            enabled_at,
            original_life,
            rotated_from,
        } = fields;
        let stored = Stored {
            name: name.clone(),
            description: description.clone(),
            boundary: boundary.clone(),
            enabled_at: enabled_at.map(to_micros),
            original_life: original_life.map(|life| match life {
                Life::Unlimited => StoredLife::Unlimited,
                Life::For(time) => {
                    StoredLife::Micros(time.as_micros().try_into().unwrap_or(u64::MAX))
                }
            }),
            rotated_from: rotated_from.as_ref().map(|from| StoredRotation {
                id: from.id.as_str().into(),
                access_key: from.access_key.as_str().into(),
                expires_at: to_micros(from.expires_at),
            }),
        };
        let text = serde_json::to_string(&stored).expect("strings and numbers always serialize");
        (text != "{}").then_some(text)
    }

    /// Parses the text that [`encode`](Self::encode) returns, with the expiry.
    ///
    /// # Errors
    ///
    /// [`InvalidTerms`] for any other text. A term that this release does not know is an error:
    /// it may be a limit.
    pub fn decode(
        text: Option<&str>,
        expires_at: Option<SystemTime>,
    ) -> Result<Self, InvalidTerms> {
        let stored: Stored = match text {
            // An array of the values in order is not what `encode` returns.
            Some(text) if !text.starts_with('{') => return Err(InvalidTerms(())),
            Some(text) => serde_json::from_str(text).map_err(|_| InvalidTerms(()))?,
            None if expires_at.is_none() => return Ok(Self::default()),
            None => Stored::default(),
        };
        if expires_at.is_some_and(|time| time < UNIX_EPOCH) {
            return Err(InvalidTerms(()));
        }
        let time = |micros| from_micros(micros).ok_or(InvalidTerms(()));
        let rotated_from = |from: StoredRotation| {
            Ok(RotatedFrom {
                id: CredentialId::from_stored(from.id),
                access_key: AccessKey::from_stored(from.access_key),
                expires_at: time(from.expires_at)?,
            })
        };
        let mut terms = Self::default();
        let fields = Fields {
            name: stored.name,
            description: stored.description,
            expires_at,
            boundary: stored.boundary,
            enabled_at: stored.enabled_at.map(time).transpose()?,
            original_life: stored.original_life.map(|life| match life {
                StoredLife::Unlimited => Life::Unlimited,
                StoredLife::Micros(micros) => Life::For(Duration::from_micros(micros)),
            }),
            rotated_from: stored.rotated_from.map(rotated_from).transpose()?,
        };
        terms.set(|it| *it = fields);
        Ok(terms)
    }

    /// Returns the approximate size in bytes.
    pub(super) fn size(&self) -> usize {
        let Some(fields) = &self.0 else { return 0 };
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        size_of::<Fields>()
            + text(&fields.name)
            + text(&fields.description)
            + text(&fields.boundary)
    }

    fn set(&mut self, change: impl FnOnce(&mut Fields)) {
        let fields = self.0.get_or_insert_default();
        change(fields);
        if **fields == Fields::default() {
            self.0 = None;
        }
    }
}

fn is_control(character: char) -> bool {
    character.is_control()
}

/// The stored form of [`Terms`]. Its members are on disk: add, never rename. A release that does
/// not know a member rejects the record.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boundary: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enabled_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original_life: Option<StoredLife>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated_from: Option<StoredRotation>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum StoredLife {
    Unlimited,
    Micros(u64),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredRotation {
    id: String,
    access_key: String,
    expires_at: i64,
}

/// A name or a description that cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTerm {
    /// The description has more than 1,024 characters.
    Description,
    /// The name is empty, has more than 128 characters or a control character.
    Name,
}

impl fmt::Display for InvalidTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Description => "description must have at most 1,024 characters",
            Self::Name => "name must have 1 to 128 characters without control characters",
        })
    }
}

impl StdError for InvalidTerm {}

/// A stored text that is not the terms of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTerms(());

fixed_error!(InvalidTerms, "stored text is not the terms of a credential");

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn terms_are_decoded_as_they_were_encoded() {
        let mut terms = Terms::default();
        assert_eq!(terms.encode(), None);
        terms.set_name(Some("backup \u{1F511}".into())).unwrap();
        terms.set_description(Some(String::new())).unwrap();
        terms.set_boundary(Some(r#"{"permission":"read","buckets":["b"]}"#.into()));
        terms.set_enabled_at(at(7));
        assert_eq!(terms.shorten_to(at(90), Life::Unlimited), at(90));
        terms.set_rotated_from(Some(RotatedFrom {
            id: CredentialId::from_stored("id"),
            access_key: AccessKey::from_stored("AK"),
            expires_at: at(10),
        }));
        let text = terms.encode();
        assert_eq!(Terms::decode(text.as_deref(), terms.expires_at()), Ok(terms));
        for bad in ["", "[]", "{\"until\":7}", "{\"name\":1}", "{\"name\":\"a\",\"name\":\"b\"}"] {
            assert!(Terms::decode(Some(bad), None).is_err(), "{bad}");
        }
    }

    #[test]
    fn terms_that_are_unset_equal_those_that_were_never_set() {
        let mut terms = Terms::default();
        terms.set_name(Some("a".into())).unwrap();
        terms.set_expires_at(Some(at(1)));
        assert!(terms.are_limiting());
        terms.set_name(None).unwrap();
        terms.set_expires_at(None);
        assert_eq!(terms, Terms::default());
        assert!(!terms.are_limiting());
    }

    #[test]
    fn second_rotation_keeps_the_original_life_and_never_extends() {
        let mut terms = Terms::default();
        let life = Life::For(Duration::from_secs(500));
        terms.set_expires_at(Some(at(500)));
        assert_eq!(terms.shorten_to(at(100), life), at(100));
        assert_eq!(terms.shorten_to(at(200), Life::For(Duration::from_secs(1))), at(100));
        assert_eq!(terms.original_life(), Some(life));
        terms.set_expires_at(Some(at(900)));
        assert_eq!(terms.original_life(), None);
    }

    #[test]
    fn names_and_descriptions_are_bounded_in_characters() {
        let mut terms = Terms::default();
        terms.set_name(Some("ä".repeat(128))).unwrap();
        terms.set_description(Some("ä".repeat(1_024))).unwrap();
        for bad in [String::new(), "ä".repeat(129), "a\nb".into(), "a\u{85}".into()] {
            assert_eq!(terms.set_name(Some(bad)), Err(InvalidTerm::Name));
        }
        let long = Some("ä".repeat(1_025));
        assert_eq!(terms.set_description(long), Err(InvalidTerm::Description));
    }
}
