//! Authenticates callers.
//!
//! Implement [`TokenValidator`] for the identity service of an app. [`StaticTokens`] is a fixed
//! set of tokens, for tests and small installations.

use std::{error::Error as StdError, fmt, sync::Arc};

use async_trait::async_trait;

use crate::domain::{Caller, SecretText};

pub(crate) mod presented;
mod static_tokens;

pub use static_tokens::{InvalidToken, StaticTokens};

/// Authenticates callers by their tokens or Basic credentials.
///
/// # Contract
///
/// * Only a token that is valid **now** yields a caller. A validator rejects a token that is
///   expired, revoked or unknown. If it cannot find out, it returns
///   [`AuthError::Unavailable`], never a caller and never [`AuthError::Invalid`].
/// * The caller's roles are those in the token's scope.
/// * [`Caller::delegation`] is set whenever the caller did not log in as the user. Otherwise
///   a trust or an application credential could mint keys that outlive it.
/// * The validator does not log tokens and passwords.
#[async_trait]
pub trait TokenValidator: fmt::Debug + Send + Sync + 'static {
    /// Validates what a client presented. The caller is shared, so that a validator with a
    /// cache need not copy it.
    ///
    /// # Errors
    ///
    /// See [`AuthError`].
    async fn validate(&self, presented: &Presented) -> Result<Arc<Caller>, AuthError>;
}

/// The token or the credentials that a client presents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Presented {
    /// HTTP Basic credentials.
    Basic {
        /// The user name or id.
        username: String,
        /// The password.
        password: SecretText,
    },
    /// A token, from `X-Auth-Token` or `Authorization: Bearer`.
    Token(SecretText),
}

/// Why a caller is not authenticated.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthError {
    /// The token has expired.
    Expired,
    /// The token is not valid, or is not this user's.
    Invalid,
    /// The source of tokens is unavailable; retrying may help.
    Unavailable(Box<dyn StdError + Send + Sync>),
    /// The token is valid, but its user is disabled.
    UserDisabled,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "token has expired",
            Self::Invalid => "token is not valid",
            Self::Unavailable(_) => "token could not be validated",
            Self::UserDisabled => "user is disabled",
        })
    }
}

impl StdError for AuthError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unavailable(source) => Some(&**source),
            Self::Expired | Self::Invalid | Self::UserDisabled => None,
        }
    }
}

forward_pointers!(TokenValidator {
    async fn validate(&self, presented: &Presented) -> Result<Arc<Caller>, AuthError>;
});
