//! Why a statement failed, and what to do about it.

use std::{error::Error as StdError, fmt, sync::Arc};

use tokio_postgres::error::SqlState;

use crate::backend::BackendError;
use crate::backend::OpenError;

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
