//! Who is calling.

use std::{error::Error as StdError, fmt, sync::Arc};

use async_trait::async_trait;

use crate::domain::{Caller, SecretText};

pub(crate) mod presented;
mod static_tokens;

pub use static_tokens::{InvalidToken, StaticTokens};

/// Says who presents a token.
///
/// # Contract
///
/// * Only a token that is valid **now** yields a caller; one that is expired,
///   revoked or unknown is refused, and a failure to find out is
///   [`AuthError::Unavailable`], never a caller and never
///   [`AuthError::Invalid`].
/// * The caller's roles are those in the token's scope, and
///   [`Caller::delegation`] is set whenever the caller did not log in as the
///   user itself: getting this wrong lets a trust or an application credential
///   mint keys that outlive it.
/// * Nothing that is presented is logged.
#[async_trait]
pub trait TokenValidator: fmt::Debug + Send + Sync + 'static {
    /// Validates what a client presented. The caller is shared, so that a
    /// validator that remembers callers need not copy them.
    ///
    /// # Errors
    ///
    /// See [`AuthError`].
    async fn validate(&self, presented: &Presented) -> Result<Arc<Caller>, AuthError>;
}

/// What a client presented to say who it is.
#[derive(Clone, Debug)]
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

/// Why a caller was not let in.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthError {
    /// It was valid once.
    Expired,
    /// It is not a valid token, or not this user's.
    Invalid,
    /// Whoever knows could not be asked; retrying may help.
    Unavailable(Box<dyn StdError + Send + Sync>),
    /// The token is valid, its user is disabled.
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

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: TokenValidator + ?Sized> TokenValidator for $pointer<T> {
            async fn validate(&self, presented: &Presented) -> Result<Arc<Caller>, AuthError> {
                (**self).validate(presented).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
