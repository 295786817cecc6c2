//! Why a store cannot be opened, and a row not be read; without the driver's types.

use std::{error::Error as StdError, fmt, io};

use tokio_postgres::error::SqlState;

/// Why a store could not be opened. It never holds the password.
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
    /// What was a store is none any more: its tables are gone or damaged.
    Corrupt,
    /// The database has a table `credentials` that is another application's, or an
    /// encoding that cannot hold every text.
    Foreign,
    /// The URL, or a file that it names, is not valid.
    Invalid,
    /// There is no store, and it must exist.
    Missing,
    /// A later release of this crate wrote the store.
    Newer,
    /// The server does not let this user in, or not do what it must.
    Refused,
    /// The server cannot be reached, or cannot be verified, or takes no more
    /// connections; retrying may help.
    Unreachable,
}

impl OpenError {
    pub(super) fn new(kind: OpenErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    pub(super) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What came of connecting, or of the first statements.
    pub(super) fn driver(error: tokio_postgres::Error) -> Self {
        let class = error.code().map_or("", |code| &code.code()[..2]);
        let (kind, what) = match (class, error.code()) {
            ("28", _) => (OpenErrorKind::Refused, "the server refuses the login"),
            (_, Some(&SqlState::INVALID_CATALOG_NAME)) => {
                (OpenErrorKind::Refused, "the server has no such database")
            }
            ("42", Some(&SqlState::INSUFFICIENT_PRIVILEGE)) => {
                (OpenErrorKind::Refused, "the user may not do what the store needs")
            }
            ("42", _) => (OpenErrorKind::Corrupt, "the database holds no store as it should be"),
            ("XX", _) => (OpenErrorKind::Corrupt, "the database is damaged"),
            _ if is_read_only(&error) => {
                (OpenErrorKind::Unreachable, "no server that can be reached takes writes")
            }
            _ => (OpenErrorKind::Unreachable, "cannot connect to the server"),
        };
        Self::new(kind, what).with_source(error)
    }

    /// What a store that could be opened before, and now cannot, means for a call.
    pub(super) fn is_damage(&self) -> bool {
        use OpenErrorKind::{Corrupt, Foreign, Newer};
        matches!(self.kind, Corrupt | Foreign | Newer)
    }

    /// What was said about it, for the log.
    pub(super) fn cause(&self) -> Option<String> {
        self.source.as_ref().map(|source| match source.source() {
            Some(deeper) => format!("{source}: {deeper}"),
            None => source.to_string(),
        })
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
