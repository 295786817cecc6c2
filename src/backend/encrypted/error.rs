//! What can go wrong, without a secret in it.

use std::{error::Error as StdError, fmt};

use super::provider::KeyError;
use crate::backend::BackendError;

/// Why a store could not be opened.
#[derive(Debug)]
pub struct OpenError {
    kind: OpenErrorKind,
    what: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`OpenError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// The record that tells which keys are in use was altered, or is not readable.
    Corrupt,
    /// There is no key ring: see the [source](StdError::source), a [`KeyError`].
    Keys,
    /// The store holds records that are sealed with keys which the ring lacks.
    MissingKey,
    /// A later release of this crate sealed the store.
    Newer,
    /// The store holds records that are not sealed, or may hold some.
    Plain,
    /// The store could not be reached or gave up; retrying may help.
    Unavailable,
    /// The ring has another key under the id of one that is in use.
    WrongKey,
}

impl OpenError {
    pub(super) fn new(kind: OpenErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    /// The keys that are in use and not in the ring.
    pub(super) fn missing(ids: &[&str]) -> Self {
        let what = format!(
            "the store holds records that are sealed with keys which the ring lacks: {}",
            ids.join(", ")
        );
        Self::new(OpenErrorKind::MissingKey, what)
    }

    pub(super) fn keys(error: KeyError) -> Self {
        let what = "there are no keys to open the store with".into();
        Self { kind: OpenErrorKind::Keys, what, source: Some(Box::new(error)) }
    }

    /// What the store answered when it was asked about its keys.
    pub(super) fn store(error: BackendError) -> Self {
        let (kind, what) = match error {
            BackendError::Corrupt(_) => (OpenErrorKind::Corrupt, "the store cannot be read"),
            _ => (OpenErrorKind::Unavailable, "the store cannot be reached"),
        };
        Self { kind, what: what.into(), source: Some(Box::new(error)) }
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> OpenErrorKind {
        self.kind
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for OpenError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// Why a text could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// It was altered, or sealed for another record or another state of this one.
    Altered,
    /// A later release wrote it.
    Format,
    /// It is sealed with this key, which is not in the ring.
    Key(String),
    /// It is no sealed text, though it starts as one.
    Malformed,
    /// It is not sealed.
    Plain,
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("it was altered, or sealed for another record"),
            Self::Format => f.write_str("it is sealed in a format of a later release"),
            Self::Key(id) => write!(f, "it is sealed with the key {id}, which the ring lacks"),
            Self::Malformed => f.write_str("its sealed text is damaged"),
            Self::Plain => f.write_str("it is not sealed, as all else in the store is"),
        }
    }
}

/// A record that could not be opened.
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

/// Why a write that may have happened is not vouched for.
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
