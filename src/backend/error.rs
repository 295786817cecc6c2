use std::{error::Error as StdError, fmt};

/// Why a call on a backend failed.
///
/// Every method can return [`Corrupt`](Self::Corrupt) and [`Unavailable`](Self::Unavailable).
#[derive(Debug)]
#[non_exhaustive]
pub enum BackendError {
    /// The id, the access key or the slot is taken.
    AlreadyExists,
    /// A stored record cannot be read; retrying does not help.
    Corrupt(Box<dyn StdError + Send + Sync>),
    /// The user already has as many records as the quota permits.
    QuotaExceeded,
    /// The store does not accept such a record, for this reason; nothing was written. The client
    /// learns the reason.
    Rejected(Box<dyn StdError + Send + Sync>),
    /// The store could not be reached or did not finish the call; retrying may help. The
    /// outcome of a write is unknown.
    Unavailable(Box<dyn StdError + Send + Sync>),
    /// The record, or a name in it, is too long for this store; nothing was written, and
    /// retrying does not help.
    Unstorable(Box<dyn StdError + Send + Sync>),
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyExists => "credential already exists",
            // The driver's own message is reachable through `source`.
            Self::Corrupt(_) => "stored credential cannot be read",
            Self::QuotaExceeded => "credential quota exceeded",
            Self::Rejected(_) => "credential rejected",
            Self::Unavailable(_) => "credential store unavailable",
            Self::Unstorable(_) => "credential cannot be stored",
        })
    }
}

impl StdError for BackendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::AlreadyExists | Self::QuotaExceeded => None,
            Self::Corrupt(source)
            | Self::Rejected(source)
            | Self::Unavailable(source)
            | Self::Unstorable(source) => Some(&**source),
        }
    }
}
