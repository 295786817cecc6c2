//! Why a call to Keystone failed.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

use crate::tls::TlsError;

/// A call to Keystone failed.
///
/// Holds neither tokens nor passwords nor Keystone's answer. Cheap to clone, so that concurrent
/// callers of a shared request get the same error.
#[derive(Clone, Debug)]
pub struct KeystoneError {
    kind: KeystoneErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of [`KeystoneError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeystoneErrorKind {
    /// Keystone rejects the service user's login, or the user lacks a role.
    Refused,
    /// Keystone did not answer in time.
    TimedOut,
    /// The answer is not one of Keystone: a 5xx status, or a body that is too large, incomplete
    /// or not the expected JSON.
    Unexpected,
    /// Keystone cannot be reached, or the connection was lost before the answer.
    Unreachable,
}

impl KeystoneError {
    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> KeystoneErrorKind {
        self.kind
    }

    /// Returns whether Keystone is unavailable, as opposed to rejecting the service user.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        self.kind != KeystoneErrorKind::Refused
    }

    pub(super) fn new(kind: KeystoneErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(super) fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(KeystoneErrorKind::Refused, message)
    }

    pub(super) fn timed_out() -> Self {
        Self::new(KeystoneErrorKind::TimedOut, "Keystone did not answer in time")
    }

    pub(super) fn unexpected(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(KeystoneErrorKind::Unexpected, message)
    }

    pub(super) fn with_source(mut self, source: Box<dyn StdError + Send + Sync>) -> Self {
        self.source = Some(Arc::from(source));
        self
    }
}

impl fmt::Display for KeystoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for KeystoneError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Why a [`KeystoneClient`](super::KeystoneClient) cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeystoneConfigError {
    /// No login was set.
    NoLogin,
    /// The certificates cannot be used.
    Tls(TlsError),
    /// The URL is not of the form `http://host/path` or `https://host/path`.
    Url,
}

impl fmt::Display for KeystoneConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLogin => f.write_str("the login of the service user is not set"),
            Self::Tls(error) => fmt::Display::fmt(error, f),
            Self::Url => {
                f.write_str("the URL must have the form http://host/path or https://host/path")
            }
        }
    }
}

impl StdError for KeystoneConfigError {}
