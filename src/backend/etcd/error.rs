//! Why a call failed.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

use crate::backend::{BackendError, OpenError, OpenErrorKind};

use super::wire::Failure;

/// Why a call to etcd failed. Holds neither keys nor values.
///
/// Cheap to clone, so that all writes of one transaction can return it.
#[derive(Clone, Debug)]
pub(super) struct EtcdError {
    kind: EtcdErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EtcdErrorKind {
    /// The member cannot serve at the moment. It has done nothing.
    Busy,
    /// etcd no longer keeps the requested revision.
    Compacted,
    /// The connection broke, or the member's error does not say what happened.
    ConnectionLost,
    /// Concurrent writes made all attempts fail.
    Contended,
    /// The store is out of space.
    Full,
    /// The user and password, or the user's permissions, are not sufficient.
    LoginRejected,
    /// The write may have taken effect.
    OutcomeUnknown,
    /// The member did not answer in time.
    TimedOut,
    /// The token is no longer valid.
    TokenRejected,
    /// A request or an answer is larger than allowed.
    TooLarge,
    /// A record is larger than a request may be.
    TooLong,
    /// The answer is not one of etcd.
    Unexpected,
    /// The member cannot be reached. Nothing was sent.
    Unreachable,
}

impl EtcdError {
    pub(super) fn new(kind: EtcdErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(super) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into().into());
        self
    }

    pub(super) fn timed_out() -> Self {
        Self::new(EtcdErrorKind::TimedOut, "etcd did not answer in time")
    }

    pub(super) fn unexpected(message: &'static str) -> Self {
        Self::new(EtcdErrorKind::Unexpected, message)
    }

    pub(super) fn contended() -> Self {
        let message = "too many concurrent writes to the same records";
        Self::new(EtcdErrorKind::Contended, message)
    }

    pub(super) fn outcome_unknown() -> Self {
        let message = "outcome of the write unknown: the connection to etcd was lost";
        Self::new(EtcdErrorKind::OutcomeUnknown, message)
    }

    pub(super) fn full(reason: impl fmt::Display) -> Self {
        Self::new(EtcdErrorKind::Full, format!("the credential store is full: {reason}"))
    }

    /// The error that a member returned.
    pub(super) fn returned(status: http::StatusCode, failure: Option<&Failure>) -> Self {
        let Some(Failure { message, code }) = failure else {
            return Self::new(
                EtcdErrorKind::ConnectionLost,
                format!("etcd returned status {status}"),
            );
        };
        let says = |text: &str| message.contains(text);
        let kind = match code {
            _ if says("space exceeded") => return Self::full(message),
            _ if says("has been compacted") => EtcdErrorKind::Compacted,
            _ if says("too many requests") || says("future revision") => EtcdErrorKind::Busy,
            _ if says("too large") || says("larger than max") => EtcdErrorKind::TooLarge,
            _ if says("invalid auth token") || says("auth store is old") => {
                EtcdErrorKind::TokenRejected
            }
            16 => EtcdErrorKind::TokenRejected,
            7 => EtcdErrorKind::LoginRejected,
            _ if says("authentication") || says("user name is empty") => {
                EtcdErrorKind::LoginRejected
            }
            // Invalid argument, not found, failed precondition, out of range, unimplemented.
            3 | 5 | 9 | 11 | 12 => EtcdErrorKind::Unexpected,
            _ => EtcdErrorKind::ConnectionLost,
        };
        Self::new(kind, format!("etcd returned an error: {message}"))
    }

    /// Returns whether another member, or a retry a little later, may succeed.
    pub(super) fn is_transient(&self) -> bool {
        use EtcdErrorKind::{Busy, ConnectionLost, TimedOut, Unreachable};
        matches!(self.kind, Busy | ConnectionLost | TimedOut | Unreachable)
    }

    /// Returns whether a write may have taken effect in spite of the error.
    pub(super) fn may_have_taken_effect(&self) -> bool {
        matches!(self.kind, EtcdErrorKind::ConnectionLost | EtcdErrorKind::TimedOut)
    }

    /// The same error for a request that writes a single record.
    pub(super) fn for_one_record(mut self) -> Self {
        if self.kind == EtcdErrorKind::TooLarge {
            self.kind = EtcdErrorKind::TooLong;
        }
        self
    }

    pub(super) fn is(&self, kind: EtcdErrorKind) -> bool {
        self.kind == kind
    }
}

impl fmt::Display for EtcdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for EtcdError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<EtcdError> for BackendError {
    fn from(error: EtcdError) -> Self {
        match error.kind {
            EtcdErrorKind::TooLong => Self::Unstorable(Box::new(error)),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

impl From<EtcdError> for OpenError {
    fn from(error: EtcdError) -> Self {
        let (kind, message) = match error.kind {
            EtcdErrorKind::LoginRejected | EtcdErrorKind::TokenRejected => {
                (OpenErrorKind::PermissionDenied, "etcd rejects the login")
            }
            _ => (OpenErrorKind::Unavailable, "cannot reach etcd"),
        };
        Self::new(kind, message).with_source(error)
    }
}

/// A key whose value cannot be read.
///
/// The value is not repeated: it may hold a secret.
#[derive(Clone, Debug)]
pub(super) struct CorruptKey {
    key: String,
    part: &'static str,
}

impl CorruptKey {
    pub(super) fn new(key: &[u8], part: &'static str) -> Self {
        Self { key: String::from_utf8_lossy(key).into_owned(), part }
    }
}

impl fmt::Display for CorruptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {} of key {:?}", self.part, self.key)
    }
}

impl StdError for CorruptKey {}

impl From<CorruptKey> for BackendError {
    fn from(corrupt: CorruptKey) -> Self {
        Self::Corrupt(Box::new(corrupt))
    }
}

/// Why a write failed, or the transaction that it shared with others.
#[derive(Clone, Debug)]
pub(super) enum WriteError {
    Corrupt(CorruptKey),
    Etcd(EtcdError),
}

impl WriteError {
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Self::Etcd(error) if error.is(EtcdErrorKind::TooLarge))
    }
}

impl From<CorruptKey> for WriteError {
    fn from(corrupt: CorruptKey) -> Self {
        Self::Corrupt(corrupt)
    }
}

impl From<EtcdError> for WriteError {
    fn from(error: EtcdError) -> Self {
        Self::Etcd(error)
    }
}

impl From<WriteError> for BackendError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Corrupt(corrupt) => corrupt.into(),
            WriteError::Etcd(error) => error.into(),
        }
    }
}
