use std::{error::Error as StdError, fmt};

use super::error::BackendError;

/// Why a store could not be opened. Never contains a password or a key.
#[derive(Debug)]
pub struct OpenError {
    kind: OpenErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`OpenError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// The store exists, and it must not.
    AlreadyExists,
    /// Another process has the store locked; retrying may help.
    Busy,
    /// The store is damaged, or the record of its encryption keys was altered.
    Corrupt,
    /// The file, the table or the key range belongs to another application, or cannot
    /// hold every record.
    Foreign,
    /// The URL, a file that it names, or a setting of the builder is not valid.
    InvalidSetting,
    /// The encryption keys cannot be read. The [source](StdError::source) is a
    /// [`KeyError`](super::encrypted::KeyError) if a key provider failed.
    KeysUnavailable,
    /// The store has records that are sealed with keys which the key ring lacks.
    MissingKey,
    /// A later release of this crate wrote the store.
    Newer,
    /// The store does not exist, and it must.
    NotFound,
    /// The store has, or may have, records that are not sealed.
    NotSealed,
    /// The server rejects the login, or the user lacks a permission that the store needs.
    PermissionDenied,
    /// The store is sealed, and was opened without keys.
    Sealed,
    /// The file cannot be created, read or written, or the server cannot be reached or
    /// verified; retrying may help.
    Unavailable,
    /// The URL names a kind of store that is not compiled in.
    Unsupported,
    /// The key ring has another key under the id of a key that is in use.
    WrongKey,
}

impl OpenError {
    pub(super) fn new(kind: OpenErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(super) fn invalid_setting(message: impl Into<String>) -> Self {
        Self::new(OpenErrorKind::InvalidSetting, message)
    }

    /// The error of a store that failed when a record was read from it.
    pub(super) fn backend(error: BackendError) -> Self {
        let (kind, message) = match error {
            BackendError::Corrupt(_) => (OpenErrorKind::Corrupt, "the store cannot be read"),
            _ => (OpenErrorKind::Unavailable, "the store cannot be reached"),
        };
        Self::new(kind, message).with_source(error)
    }

    pub(super) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns whether the store exists but cannot be read.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(super) fn is_damage(&self) -> bool {
        use OpenErrorKind::{Corrupt, Foreign, Newer};
        matches!(self.kind, Corrupt | Foreign | Newer)
    }

    /// The error of a call on a store that was opened before and cannot be opened again.
    #[cfg(feature = "sqlite")]
    pub(super) fn into_backend_error(self) -> BackendError {
        if self.is_damage() {
            BackendError::Corrupt(Box::new(self))
        } else {
            BackendError::Unavailable(Box::new(self))
        }
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> OpenErrorKind {
        self.kind
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for OpenError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// Whether a store must exist when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenMode {
    /// A store that does not exist is created.
    #[default]
    Create,
    /// The store must not exist, and is created.
    CreateNew,
    /// The store must exist.
    Existing,
}
