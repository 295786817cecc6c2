//! What can go wrong, without the driver's types.

use std::{error::Error as StdError, fmt, io, sync::Arc};

use tokio_postgres::error::SqlState;

use crate::backend::BackendError;

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
    fn is_damage(&self) -> bool {
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

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no connection at present.
    Away(Arc<OpenError>),
    /// The connection broke.
    Broken(tokio_postgres::Error),
    /// As many reads as there is room for were under way all the time.
    Crowded,
    /// No answer to a write came before its connection broke.
    Doubtful,
    /// The backend is being shut down, with its runtime.
    Gone,
    /// The server said so.
    Said(Said),
    /// No answer came in time.
    TimedOut,
    /// The feed of changes has ended.
    Unheard,
}

/// What a server says, without the details: those quote rows.
#[derive(Debug)]
pub(super) struct Said {
    code: SqlState,
    message: String,
    /// Whether it is the server that is at a limit, and not what it was given.
    is_worn: bool,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code.code())
    }
}

impl StdError for Said {}

/// Where PostgreSQL tells of its own limits, with the codes of rows that are too long: its
/// queue of notifications, and numbers of transactions that run out.
const WORN: [&str; 3] = ["async.c", "multixact.c", "varsup.c"];

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another transaction holds a lock for long, and nothing was done.
    Blocked,
    /// Another transaction was in the way, and nothing was done: try again.
    Conflict,
    /// One of the rows cannot be written: nothing was done.
    Data,
    /// Nothing was done, and trying again does not help.
    Failed,
    /// The connection is lost: what was sent may have been done or not.
    Lost,
    /// The session is not what it was, and nothing was done: try on a new connection.
    Stale,
}

impl Trouble {
    pub(super) fn verdict(&self) -> Verdict {
        let (code, is_worn) = match self {
            Self::Broken(_) => return Verdict::Lost,
            Self::Said(Said { code, is_worn, .. }) => (code, *is_worn),
            Self::Away(_)
            | Self::Crowded
            | Self::Doubtful
            | Self::Gone
            | Self::TimedOut
            | Self::Unheard => return Verdict::Failed,
        };
        let stale = [
            &SqlState::FEATURE_NOT_SUPPORTED,
            &SqlState::INVALID_SQL_STATEMENT_NAME,
            &SqlState::READ_ONLY_SQL_TRANSACTION,
        ];
        match &code.code()[..2] {
            _ if stale.contains(&code) => Verdict::Stale,
            _ if *code == SqlState::LOCK_NOT_AVAILABLE => Verdict::Blocked,
            "40" if *code != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN => Verdict::Conflict,
            "08" | "40" => Verdict::Lost,
            "57" if *code != SqlState::QUERY_CANCELED => Verdict::Lost,
            "54" if is_worn => Verdict::Failed,
            "22" | "23" | "54" => Verdict::Data,
            _ => Verdict::Failed,
        }
    }

    /// Whether one of several writes may have taken the others down.
    pub(super) fn is_of_one(&self) -> bool {
        matches!(self.verdict(), Verdict::Blocked | Verdict::Data)
    }

    /// Whether an id, an access key or a slot is taken.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Said(said) if said.code == SqlState::UNIQUE_VIOLATION)
    }

    /// Whether it is what lies on the server's disk.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Away(error) => error.is_damage(),
            Self::Said(said) => {
                [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(&said.code)
            }
            Self::Broken(_)
            | Self::Crowded
            | Self::Doubtful
            | Self::Gone
            | Self::TimedOut
            | Self::Unheard => false,
        }
    }

    /// What it means for a call.
    pub(super) fn into_backend_error(self) -> BackendError {
        Shared(Arc::new(self)).into_backend_error()
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => {
                let is_worn = said.file().is_some_and(|file| WORN.contains(&file));
                Self::Said(Said {
                    code: said.code().clone(),
                    message: said.message().into(),
                    is_worn,
                })
            }
            None => Self::Broken(error),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Away(_) => "there is no connection to the server",
            Self::Broken(_) => "the connection to the server broke",
            Self::Crowded => "too many reads wait for the server",
            Self::Doubtful => "the connection was lost before the write was answered",
            Self::Gone => "the runtime of the store is gone",
            Self::Said(_) => "the server refused a statement",
            Self::TimedOut => "the server did not answer in time",
            Self::Unheard => "the feed of changes was lost",
        })
    }
}

impl StdError for Trouble {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Away(error) => Some(&**error),
            Self::Broken(error) => Some(error),
            Self::Said(said) => Some(said),
            Self::Crowded | Self::Doubtful | Self::Gone | Self::TimedOut | Self::Unheard => None,
        }
    }
}

/// A trouble that all have who wrote in one round.
#[derive(Clone, Debug)]
pub(super) struct Shared(pub(super) Arc<Trouble>);

impl Shared {
    pub(super) fn into_backend_error(self) -> BackendError {
        if self.0.is_damage() {
            BackendError::Corrupt(Box::new(self))
        } else {
            BackendError::Unavailable(Box::new(self))
        }
    }

    /// The same, where it is about rows that were to be stored.
    pub(super) fn of_row(self) -> BackendError {
        match self.0.verdict() {
            Verdict::Data => BackendError::Unstorable(Box::new(self)),
            _ => self.into_backend_error(),
        }
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Shared {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
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
