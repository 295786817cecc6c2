//! Errors of sessions.

use std::{error::Error as StdError, fmt};

use crate::{boundary::BoundaryError, domain::RandomError};

/// Why a session cannot be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionError {
    /// It would last no time, or longer than 36 hours, or longer than its parent.
    Life,
    /// The name has a character that is not allowed, or is too short or too long.
    Name,
    /// The access key of the parent has more than 128 characters.
    Parent,
    /// A policy is not a valid document.
    Policy(BoundaryError),
    /// The policies together are larger than 2,048 bytes.
    PolicySize,
    /// The operating system returned no random bytes.
    Random(RandomError),
    /// The secret of the parent is shorter than 32 characters.
    ShortSecret,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Life => "a session lasts at most 36 hours, and no longer than its key",
            Self::Name => "the name of a session is too short, too long or has other characters",
            Self::Parent => "the access key is too long for a session",
            Self::Policy(_) => "the policy of a session is not valid",
            Self::PolicySize => "the policies of a session are larger than 2,048 bytes",
            Self::Random(_) => "no random bytes",
            Self::ShortSecret => "a key with sessions needs a secret of at least 32 characters",
        })
    }
}

impl StdError for SessionError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Policy(error) => Some(error),
            Self::Random(error) => Some(error),
            Self::Life | Self::Name | Self::Parent | Self::PolicySize | Self::ShortSecret => None,
        }
    }
}

/// Why a session with a genuine token may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionRefusal {
    /// It breaks a rule for sessions.
    BreaksRule,
    /// It has ended, ends after its parent, or is from before its parent was last enabled.
    Ended,
}

impl fmt::Display for SessionRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BreaksRule => "the session breaks a rule for sessions",
            Self::Ended => "the session has ended",
        })
    }
}

impl StdError for SessionRefusal {}
