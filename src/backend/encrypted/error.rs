//! Errors. None contains a secret.

use std::{error::Error as StdError, fmt};

use crate::backend::{BackendError, OpenError, OpenErrorKind};
use crate::secret_files::SecretFileError;

/// Why the keys cannot be read. Never contains a part of a key.
#[derive(Debug)]
pub struct KeyError {
    kind: KeyErrorKind,
    what: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`KeyError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// Users other than its owner can read or write the key file.
    Exposed,
    /// The key file or the environment variable does not exist or cannot be read.
    Inaccessible,
    /// The text is not a key ring.
    Invalid,
    /// The key provider failed; retrying may help.
    Unavailable,
}

impl KeyError {
    pub(super) fn new(kind: KeyErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    pub(super) fn from_file(error: SecretFileError) -> Self {
        let kind =
            if error.is_exposed() { KeyErrorKind::Exposed } else { KeyErrorKind::Inaccessible };
        let (what, source) = error.into_parts();
        Self { kind, what, source }
    }

    /// Creates the error of a key provider that failed.
    #[must_use]
    pub fn unavailable(
        what: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind: KeyErrorKind::Unavailable, what: what.into(), source: Some(source.into()) }
    }

    pub(super) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Puts the name of the file or variable in front of the message.
    pub(super) fn within(mut self, place: &dyn fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> KeyErrorKind {
        self.kind
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for KeyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// The error for keys that are in use and missing from the ring.
pub(super) fn missing_keys(ids: &[&str]) -> OpenError {
    let message =
        format!("the key ring lacks keys that records are sealed with: {}", ids.join(", "));
    OpenError::new(OpenErrorKind::MissingKey, message)
}

impl From<KeyError> for OpenError {
    fn from(error: KeyError) -> Self {
        let message = "cannot read the keys of the store";
        Self::new(OpenErrorKind::KeysUnavailable, message).with_source(error)
    }
}

/// Why a sealed text cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// It was altered, or sealed for another record or another version of this record.
    Altered,
    /// A later release sealed it.
    Format,
    /// It is sealed with this key, which is not in the ring.
    Key(String),
    /// It starts like a sealed text, but is not one.
    Malformed,
    /// It is not sealed.
    Plain,
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("it was altered, or sealed for another record"),
            Self::Format => f.write_str("it is sealed in the format of a later release"),
            Self::Key(id) => {
                write!(f, "it is sealed with the key {id}, which is not in the key ring")
            }
            Self::Malformed => f.write_str("its sealed text is damaged"),
            Self::Plain => f.write_str("it is not sealed, but the store is"),
        }
    }
}

/// A record that cannot be opened.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) id: String,
    pub(super) why: Unopened,
}

impl Unreadable {
    pub(super) fn into_backend_error(self) -> BackendError {
        BackendError::Corrupt(Box::new(self))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the credential {:?} cannot be opened: {}", self.id, self.why)
    }
}

impl StdError for Unreadable {}

/// Why the outcome of a write is unknown.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    pub(super) what: &'static str,
    pub(super) source: Option<BackendError>,
}

impl Unconfirmed {
    pub(super) fn into_backend_error(self) -> BackendError {
        BackendError::Unavailable(Box::new(self))
    }
}

impl fmt::Display for Unconfirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl StdError for Unconfirmed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
