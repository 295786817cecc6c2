//! What can go wrong, without the driver's types.

use std::{error::Error as StdError, fmt, path::Path, sync::Arc};

use rusqlite::ErrorCode;

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
    /// Another process holds the file locked; retrying may help.
    Busy,
    /// The file is damaged.
    Corrupt,
    /// The file is no store of credentials, but another application's.
    Foreign,
    /// The file cannot be created, read or written.
    Inaccessible,
    /// A later release of this crate wrote the file.
    Newer,
}

impl OpenError {
    pub(super) fn new(kind: OpenErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    pub(super) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What the engine said about this file.
    pub(super) fn engine(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.display();
        let (kind, what) = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                (OpenErrorKind::Busy, format!("another process holds {path} locked"))
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                (OpenErrorKind::Corrupt, format!("{path} is damaged"))
            }
            Some(ErrorCode::NotADatabase) => {
                (OpenErrorKind::Foreign, format!("{path} is not an SQLite file"))
            }
            _ => (OpenErrorKind::Inaccessible, format!("cannot open {path}")),
        };
        Self::new(kind, what).with_source(error)
    }

    /// What a file that could be opened before, and now cannot, means for a call.
    pub(super) fn into_backend_error(self) -> BackendError {
        if self.is_damage() {
            BackendError::Corrupt(Box::new(self))
        } else {
            BackendError::Unavailable(Box::new(self))
        }
    }

    /// Whether the file is there, but cannot be read as a store.
    fn is_damage(&self) -> bool {
        use OpenErrorKind::{Corrupt, Foreign, Newer};
        matches!(self.kind, Corrupt | Foreign | Newer)
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

/// A row that cannot be read as a credential.
///
/// The value is not repeated: it may hold a secret.
#[derive(Debug)]
pub(super) struct CorruptRow {
    pub(super) id: String,
    pub(super) column: &'static str,
}

impl fmt::Display for CorruptRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} of the credential {:?} cannot be read", self.column, self.id)
    }
}

impl StdError for CorruptRow {}

/// Why a transaction failed: the engine, or the file under it.
#[derive(Debug)]
pub(super) enum Trouble {
    Engine(rusqlite::Error),
    File(OpenError),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        Self::File(error)
    }
}

impl Trouble {
    fn source(&self) -> &(dyn StdError + 'static) {
        match self {
            Self::Engine(error) => error,
            Self::File(error) => error,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.source(), f)
    }
}

/// A transaction that failed; the reason is shared by all who wrote in it.
#[derive(Clone, Debug)]
pub(super) struct BatchFailed(pub(super) Arc<Trouble>);

impl BatchFailed {
    pub(super) fn into_backend_error(self) -> BackendError {
        let is_damage = match &*self.0 {
            Trouble::Engine(error) => is_damage(error),
            Trouble::File(error) => error.is_damage(),
        };
        if is_damage {
            BackendError::Corrupt(Box::new(self))
        } else {
            BackendError::Unavailable(Box::new(self))
        }
    }
}

impl fmt::Display for BatchFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the transaction was not committed")
    }
}

impl StdError for BatchFailed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.0.source())
    }
}

/// The thread that writes has panicked.
#[derive(Debug)]
pub(super) struct WriterGone;

impl fmt::Display for WriterGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the thread that writes credentials is gone")
    }
}

impl StdError for WriterGone {}

/// What a failed read means.
///
/// The engine's texts may name columns and quote our SQL, never a bound value;
/// statements are never expanded.
pub(super) fn read_failed(error: rusqlite::Error) -> BackendError {
    if is_damage(&error) {
        BackendError::Corrupt(Box::new(error))
    } else {
        BackendError::Unavailable(Box::new(error))
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
