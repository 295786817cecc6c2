//! What can go wrong.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

use crate::backend::{BackendError, OpenError, OpenErrorKind};

use super::wire::Failure;

type Source = Arc<dyn StdError + Send + Sync>;

impl From<Trouble> for OpenError {
    fn from(trouble: Trouble) -> Self {
        let (kind, what) = match trouble.kind {
            TroubleKind::LoginRefused | TroubleKind::TokenRefused => {
                (OpenErrorKind::PermissionDenied, "etcd refuses the login")
            }
            _ => (OpenErrorKind::Unavailable, "etcd gives no answer"),
        };
        Self::new(kind, what).with_source(trouble)
    }
}

/// Why etcd did not do what it was asked. Holds neither keys nor values.
///
/// Cheap to clone, so that all whose writes went together get the same.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) kind: TroubleKind,
    what: Cow<'static, str>,
    source: Option<Source>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TroubleKind {
    /// The connection broke, or the member answered that it cannot say.
    Broken,
    /// The revision that was asked for is no longer kept.
    Compacted,
    /// Others wrote in between, again and again.
    Contended,
    /// The write may have been done or not.
    Doubtful,
    /// There is no room for more.
    Full,
    /// The user and password, or their rights, do not suffice.
    LoginRefused,
    /// The member cannot serve at the moment and has done nothing.
    NotNow,
    /// There was no answer in time.
    TimedOut,
    /// The token is no longer accepted.
    TokenRefused,
    /// More than one request or one answer may hold.
    TooLarge,
    /// A record is longer than one request may be.
    TooLong,
    /// Something answered, but not as etcd does.
    Unexpected,
    /// There is no connection: nothing was sent.
    Unreachable,
}

impl Trouble {
    pub(super) fn new(kind: TroubleKind, what: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    pub(super) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into().into());
        self
    }

    pub(super) fn timed_out() -> Self {
        Self::new(TroubleKind::TimedOut, "etcd did not answer in time")
    }

    pub(super) fn unexpected(what: &'static str) -> Self {
        Self::new(TroubleKind::Unexpected, what)
    }

    pub(super) fn contended() -> Self {
        let what = "others wrote to the same records in between, again and again";
        Self::new(TroubleKind::Contended, what)
    }

    pub(super) fn doubtful() -> Self {
        let what = "the connection was lost during the write, which may have happened or not";
        Self::new(TroubleKind::Doubtful, what)
    }

    pub(super) fn full(what: impl fmt::Display) -> Self {
        Self::new(TroubleKind::Full, format!("the credential store is full: {what}"))
    }

    /// What a member said instead of an answer.
    pub(super) fn answered(status: http::StatusCode, failure: Option<&Failure>) -> Self {
        let Some(Failure { message, code }) = failure else {
            return Self::new(TroubleKind::Broken, format!("etcd answered {status}"));
        };
        let says = |text: &str| message.contains(text);
        let kind = match code {
            _ if says("space exceeded") => return Self::full(message),
            _ if says("has been compacted") => TroubleKind::Compacted,
            _ if says("too many requests") || says("future revision") => TroubleKind::NotNow,
            _ if says("too large") || says("larger than max") => TroubleKind::TooLarge,
            _ if says("invalid auth token") || says("auth store is old") => {
                TroubleKind::TokenRefused
            }
            16 => TroubleKind::TokenRefused,
            7 => TroubleKind::LoginRefused,
            _ if says("authentication") || says("user name is empty") => TroubleKind::LoginRefused,
            // Invalid argument, not found, failed precondition, out of range, unimplemented.
            3 | 5 | 9 | 11 | 12 => TroubleKind::Unexpected,
            _ => TroubleKind::Broken,
        };
        Self::new(kind, format!("etcd answered: {message}"))
    }

    /// Whether another member, or the same a little later, may do better.
    pub(super) fn is_passing(&self) -> bool {
        use TroubleKind::{Broken, NotNow, TimedOut, Unreachable};
        matches!(self.kind, Broken | NotNow | TimedOut | Unreachable)
    }

    /// Whether a write may have been done all the same.
    pub(super) fn may_have_happened(&self) -> bool {
        matches!(self.kind, TroubleKind::Broken | TroubleKind::TimedOut)
    }

    /// The same, where what was sent writes one record alone.
    pub(super) fn of_one_record(mut self) -> Self {
        if self.kind == TroubleKind::TooLarge {
            self.kind = TroubleKind::TooLong;
        }
        self
    }

    pub(super) fn is(&self, kind: TroubleKind) -> bool {
        self.kind == kind
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for Trouble {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<Trouble> for BackendError {
    fn from(trouble: Trouble) -> Self {
        match trouble.kind {
            TroubleKind::TooLong => Self::Unstorable(Box::new(trouble)),
            _ => Self::Unavailable(Box::new(trouble)),
        }
    }
}

/// A key whose value cannot be read.
///
/// The value is not repeated: it may hold a secret.
#[derive(Clone, Debug)]
pub(super) struct CorruptKey {
    pub(super) key: String,
    pub(super) what: &'static str,
}

impl CorruptKey {
    pub(super) fn new(key: &[u8], what: &'static str) -> Self {
        Self { key: String::from_utf8_lossy(key).into_owned(), what }
    }
}

impl fmt::Display for CorruptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the key {:?} cannot be read", self.what, self.key)
    }
}

impl StdError for CorruptKey {}

impl From<CorruptKey> for BackendError {
    fn from(corrupt: CorruptKey) -> Self {
        Self::Corrupt(Box::new(corrupt))
    }
}

/// Why a write that others went along with failed.
#[derive(Clone, Debug)]
pub(super) enum Failed {
    Corrupt(CorruptKey),
    Trouble(Trouble),
}

impl Failed {
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Self::Trouble(trouble) if trouble.is(TroubleKind::TooLarge))
    }
}

impl From<CorruptKey> for Failed {
    fn from(corrupt: CorruptKey) -> Self {
        Self::Corrupt(corrupt)
    }
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<Failed> for BackendError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Corrupt(corrupt) => corrupt.into(),
            Failed::Trouble(trouble) => trouble.into(),
        }
    }
}
