//! Why Keystone gave no answer.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

/// Keystone gave no answer that could be used.
///
/// Holds neither tokens nor passwords nor what Keystone answered. Cheap to
/// clone, so that everybody who waited for one answer gets the same error.
#[derive(Clone, Debug)]
pub struct KeystoneError {
    kind: KeystoneErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What kind of failure a [`KeystoneError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeystoneErrorKind {
    /// Keystone does not accept the service user's login, or does not let it ask.
    Refused,
    /// There was no answer in time.
    TimedOut,
    /// Something answered, but not as Keystone does: a 5xx, a body that is too
    /// large, breaks off or is not the JSON that was asked for.
    Unexpected,
    /// No connection, or one that broke before the answer.
    Unreachable,
}

impl KeystoneError {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> KeystoneErrorKind {
        self.kind
    }

    /// Whether Keystone is out of order, as opposed to refusing the service user.
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

    pub(super) fn caused_by(mut self, source: Box<dyn StdError + Send + Sync>) -> Self {
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

/// Settings with which no [`KeystoneClient`](super::KeystoneClient) can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeystoneConfigError {
    /// The PEM text holds no certificate, or one that cannot be trusted.
    Certificate,
    /// No certificate authority is installed on this system, and none was given.
    NoCertificates,
    /// The URL is not of the form `http://host/path` or `https://host/path`.
    Url,
}

impl fmt::Display for KeystoneConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "not the PEM text of certificates",
            Self::NoCertificates => "no trusted certificates on this system, and none was given",
            Self::Url => "not a URL of the form http://host/path or https://host/path",
        })
    }
}

impl StdError for KeystoneConfigError {}
