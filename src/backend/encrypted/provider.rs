//! Where the keys come from.

use std::{error::Error as StdError, fmt, sync::Arc};

use async_trait::async_trait;

use super::ring::KeyRing;
use crate::secret_files::SecretFileError;

/// Gives the keys that secrets are sealed with, from wherever they are kept: a key
/// management service, a hardware module, a file.
///
/// # Contract
///
/// * It is asked once for each store that is opened. A key that was given once keeps its
///   id and its bytes.
/// * Nothing of a key is logged, nor in an error.
#[async_trait]
pub trait KeyProvider: fmt::Debug + Send + Sync + 'static {
    /// The keys, the newest one last.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if they cannot be had.
    async fn key_ring(&self) -> Result<KeyRing, KeyError>;
}

/// The keys are at hand.
#[async_trait]
impl KeyProvider for KeyRing {
    async fn key_ring(&self) -> Result<KeyRing, KeyError> {
        Ok(self.clone())
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: KeyProvider + ?Sized> KeyProvider for $pointer<T> {
            async fn key_ring(&self) -> Result<KeyRing, KeyError> {
                (**self).key_ring().await
            }
        }
    };
}

forward!(Arc);
forward!(Box);

/// Why there are no keys.
///
/// It never repeats anything of a key.
#[derive(Debug)]
pub struct KeyError {
    kind: KeyErrorKind,
    what: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`KeyError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// Others than the owner may read or write the file.
    Exposed,
    /// What should hold the keys is not there or cannot be read.
    Inaccessible,
    /// What should hold the keys holds something else.
    Invalid,
    /// Whoever has the keys gave none; retrying may help.
    Unavailable,
}

impl KeyError {
    pub(super) fn new(kind: KeyErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    pub(super) fn from_file(error: SecretFileError) -> Self {
        let kind =
            if error.is_exposed() { KeyErrorKind::Exposed } else { KeyErrorKind::Inaccessible };
        Self { kind, what: "cannot read the key file".into(), source: Some(error.into()) }
    }

    /// Says that whoever has the keys gave none, and why.
    #[must_use]
    pub fn unavailable(
        what: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind: KeyErrorKind::Unavailable, what: what.into(), source: Some(source.into()) }
    }

    pub(super) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The same, with the name of what was read.
    pub(super) fn within(mut self, place: &dyn fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> KeyErrorKind {
        self.kind
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for KeyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
