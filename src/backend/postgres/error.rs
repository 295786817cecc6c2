//! Why a call failed, and what to do about it.

use std::{error::Error as StdError, fmt, io, sync::Arc, time::Duration};

use rand::RngExt;
use tokio_postgres::error::SqlState;

use crate::backend::{BackendError, OpenError, OpenErrorKind};

/// Longest pause after the first failure; it doubles with each further failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// Why a call failed.
#[derive(Debug)]
pub(super) enum PostgresError {
    /// The connection broke.
    ConnectionLost(tokio_postgres::Error),
    /// The session is not connected, and the last attempt to connect failed.
    Disconnected(Arc<OpenError>),
    /// The change feed ended.
    FeedLost,
    /// A write was sent, and its connection broke before the server answered.
    OutcomeUnknown,
    /// No slot for a read became free in time.
    Overloaded,
    /// The server returned an error.
    Server(ServerError),
    /// The runtime of the backend has ended.
    ShutDown,
    /// The server did not answer in time.
    TimedOut,
}

/// An error that the server returned, without its details: those quote rows.
#[derive(Debug)]
pub(super) struct ServerError {
    code: SqlState,
    message: String,
    /// Whether the server is at a limit of its own, whatever it was given.
    is_server_limit: bool,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code.code())
    }
}

impl StdError for ServerError {}

/// Source files of PostgreSQL that report a limit of the server with the code of an overlong
/// row: the notification queue, and transaction numbers that run out.
const SERVER_LIMIT_FILES: [&str; 3] = ["async.c", "multixact.c", "varsup.c"];

/// What a failure says about the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another transaction held a lock for too long. Nothing was written.
    Blocked,
    /// Another transaction interfered. Nothing was written; retry.
    Conflict,
    /// One of the rows cannot be stored. Nothing was written.
    Data,
    /// Nothing was written, and a retry does not help.
    Failed,
    /// The connection was lost. The statement may have taken effect.
    Lost,
    /// The session is unusable. Nothing was written; retry on a new connection.
    Stale,
}

impl PostgresError {
    pub(super) fn verdict(&self) -> Verdict {
        let (code, is_server_limit) = match self {
            Self::ConnectionLost(_) => return Verdict::Lost,
            Self::Server(ServerError { code, is_server_limit, .. }) => (code, *is_server_limit),
            Self::Disconnected(_)
            | Self::FeedLost
            | Self::OutcomeUnknown
            | Self::Overloaded
            | Self::ShutDown
            | Self::TimedOut => return Verdict::Failed,
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
            "54" if is_server_limit => Verdict::Failed,
            "22" | "23" | "54" => Verdict::Data,
            _ => Verdict::Failed,
        }
    }

    /// Returns whether a single write may have failed the whole batch.
    pub(super) fn is_of_one_write(&self) -> bool {
        matches!(self.verdict(), Verdict::Blocked | Verdict::Data)
    }

    /// Returns whether an id, an access key or a slot is taken.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Server(error) if error.code == SqlState::UNIQUE_VIOLATION)
    }

    /// Returns whether data on the server's disk is damaged.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Disconnected(error) => error.is_damage(),
            Self::Server(error) => {
                [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(&error.code)
            }
            Self::ConnectionLost(_)
            | Self::FeedLost
            | Self::OutcomeUnknown
            | Self::Overloaded
            | Self::ShutDown
            | Self::TimedOut => false,
        }
    }

    pub(super) fn into_backend_error(self) -> BackendError {
        SharedError(Arc::new(self)).into_backend_error()
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self::Server(ServerError {
                code: db.code().clone(),
                message: db.message().into(),
                is_server_limit: db.file().is_some_and(|file| SERVER_LIMIT_FILES.contains(&file)),
            }),
            None => Self::ConnectionLost(error),
        }
    }
}

impl fmt::Display for PostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectionLost(_) => "the connection to the server was lost",
            Self::Disconnected(_) => "not connected to the server",
            Self::FeedLost => "the change feed ended",
            Self::OutcomeUnknown => {
                "outcome of the write unknown: the connection was lost before the server answered"
            }
            Self::Overloaded => "too many reads are waiting for the server",
            Self::Server(_) => "the server returned an error",
            Self::ShutDown => "the runtime of the store has ended",
            Self::TimedOut => "the server did not answer in time",
        })
    }
}

impl StdError for PostgresError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::ConnectionLost(error) => Some(error),
            Self::Disconnected(error) => Some(&**error),
            Self::Server(error) => Some(error),
            Self::FeedLost
            | Self::OutcomeUnknown
            | Self::Overloaded
            | Self::ShutDown
            | Self::TimedOut => None,
        }
    }
}

/// The error of a batch, shared by the callers whose writes were in it.
#[derive(Clone, Debug)]
pub(super) struct SharedError(pub(super) Arc<PostgresError>);

impl SharedError {
    pub(super) fn into_backend_error(self) -> BackendError {
        if self.0.is_damage() {
            BackendError::Corrupt(Box::new(self))
        } else {
            BackendError::Unavailable(Box::new(self))
        }
    }

    /// As [`into_backend_error`](Self::into_backend_error), for statements that store rows.
    pub(super) fn into_row_error(self) -> BackendError {
        match self.0.verdict() {
            Verdict::Data => BackendError::Unstorable(Box::new(self)),
            _ => self.into_backend_error(),
        }
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for SharedError {
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
        write!(f, "cannot read column {} of credential {:?}", self.column, self.id)
    }
}

impl StdError for CorruptRow {}

/// The error of connecting, or of the first statements of a session.
pub(super) fn open_failed(error: tokio_postgres::Error) -> OpenError {
    let class = error.code().map_or("", |code| &code.code()[..2]);
    let (kind, message) = match (class, error.code()) {
        ("28", _) => (OpenErrorKind::PermissionDenied, "the server rejects the login"),
        (_, Some(&SqlState::INVALID_CATALOG_NAME)) => {
            (OpenErrorKind::PermissionDenied, "the server has no such database")
        }
        ("42", Some(&SqlState::INSUFFICIENT_PRIVILEGE)) => {
            (OpenErrorKind::PermissionDenied, "the user lacks a privilege that the store needs")
        }
        ("42", _) => (OpenErrorKind::Corrupt, "the tables of the store are not as expected"),
        ("XX", _) => (OpenErrorKind::Corrupt, "the database is damaged"),
        _ if is_read_only(&error) => {
            (OpenErrorKind::Unavailable, "no reachable server accepts writes")
        }
        _ => (OpenErrorKind::Unavailable, "cannot connect to the server"),
    };
    OpenError::new(kind, message).with_source(error)
}

/// Returns whether the driver skipped a host because it accepts no writes.
fn is_read_only(error: &tokio_postgres::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// The messages of an error's source and of the source's source, for the log.
pub(super) fn cause(error: &OpenError) -> Option<String> {
    error.source().map(|source| match source.source() {
        Some(deeper) => format!("{source}: {deeper}"),
        None => source.to_string(),
    })
}

/// A random pause before the next attempt. Its upper bound doubles with each failure.
pub(super) fn backoff(failures: u32) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << failures.min(8).saturating_sub(1));
    doubled.min(MAX_BACKOFF).mul_f64(rand::rng().random_range(0.25..=1.0))
}
