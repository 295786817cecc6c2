//! Why a store cannot be opened, and a row not be read; without the driver's types.

use std::{error::Error as StdError, fmt, io};

use tokio_postgres::error::SqlState;

use crate::backend::{OpenError, OpenErrorKind};

/// What came of connecting, or of the first statements.
pub(super) fn open_failed(error: tokio_postgres::Error) -> OpenError {
    let class = error.code().map_or("", |code| &code.code()[..2]);
    let (kind, what) = match (class, error.code()) {
        ("28", _) => (OpenErrorKind::PermissionDenied, "the server refuses the login"),
        (_, Some(&SqlState::INVALID_CATALOG_NAME)) => {
            (OpenErrorKind::PermissionDenied, "the server has no such database")
        }
        ("42", Some(&SqlState::INSUFFICIENT_PRIVILEGE)) => {
            (OpenErrorKind::PermissionDenied, "the user may not do what the store needs")
        }
        ("42", _) => (OpenErrorKind::Corrupt, "the database holds no store as it should be"),
        ("XX", _) => (OpenErrorKind::Corrupt, "the database is damaged"),
        _ if is_read_only(&error) => {
            (OpenErrorKind::Unavailable, "no server that can be reached takes writes")
        }
        _ => (OpenErrorKind::Unavailable, "cannot connect to the server"),
    };
    OpenError::new(kind, what).with_source(error)
}

/// The message of an error's source and of that one's source, for the log.
pub(super) fn cause(error: &OpenError) -> Option<String> {
    error.source().map(|source| match source.source() {
        Some(deeper) => format!("{source}: {deeper}"),
        None => source.to_string(),
    })
}

/// Whether a host was passed over because it takes no writes.
fn is_read_only(error: &tokio_postgres::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
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
