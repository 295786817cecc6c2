//! Why a store could not be opened.

use std::{error::Error, fmt};

use tower_credentials::backend::{OpenError, OpenErrorKind};

/// Why a store could not be opened.
#[derive(Debug)]
pub struct Unopened {
    pub trouble: Trouble,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of [`Unopened`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is there, and must not be.
    AlreadyThere,
    /// The keys cannot be had, or do not open it.
    Keys,
    /// The URL says something that makes no sense.
    Setting,
    /// It is not there, or cannot be reached.
    Unavailable,
    /// It is there and is no store that this release reads.
    Unreadable,
    /// The URL names no store.
    Url,
}

impl Unopened {
    pub(super) fn new(trouble: Trouble, what: impl Into<String>) -> Self {
        Self { trouble, what: what.into(), source: None }
    }

    /// Told in the words of this error.
    pub(super) fn caused(trouble: Trouble, error: impl Error + Send + Sync + 'static) -> Self {
        Self { trouble, what: error.to_string(), source: Some(Box::new(error)) }
    }
}

impl From<OpenError> for Unopened {
    fn from(error: OpenError) -> Self {
        use OpenErrorKind::{
            Corrupt, Foreign, InvalidSetting, KeysUnavailable, MissingKey, Newer, NotSealed,
            WrongKey,
        };
        let trouble = match error.kind() {
            Corrupt | Foreign | Newer => Trouble::Unreadable,
            KeysUnavailable | MissingKey | NotSealed | WrongKey => Trouble::Keys,
            InvalidSetting => Trouble::Setting,
            _ => Trouble::Unavailable,
        };
        Self::caused(trouble, error)
    }
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Unopened {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The error itself is told already.
        self.source.as_ref().and_then(|error| error.source())
    }
}
