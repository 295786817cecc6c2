//! Errors, without the driver's types.

use std::{error::Error as StdError, fmt, path::Path, sync::Arc};

use rusqlite::ErrorCode;

use crate::backend::{BackendError, OpenError, OpenErrorKind};

/// Converts an error of the engine while this file was opened.
pub(super) fn open_failed(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.display();
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (OpenErrorKind::Busy, format!("another process has {path} locked"))
        }
        Some(ErrorCode::DatabaseCorrupt) => (OpenErrorKind::Corrupt, format!("{path} is damaged")),
        Some(ErrorCode::NotADatabase) => {
            (OpenErrorKind::Foreign, format!("{path} is not an SQLite file"))
        }
        _ => (OpenErrorKind::Unavailable, format!("cannot open {path}")),
    };
    OpenError::new(kind, message).with_source(error)
}

/// A row that cannot be read as a credential.
///
/// The message does not repeat the value, which may be a secret.
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

/// Why a transaction failed: an error of the engine, or of the file below it.
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

/// A transaction that failed; all its writers share the reason.
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

/// The writing thread panicked.
#[derive(Debug)]
pub(super) struct WriterGone;

fixed_error!(WriterGone, "the writing thread has ended");

/// Converts the error of a failed read.
///
/// The engine's messages may name columns and quote our SQL, but never contain a bound value;
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
