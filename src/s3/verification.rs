//! [`Verification`]: how far `s3s` got with the verification of a request.

use std::sync::Arc;

use http::StatusCode;

use crate::{domain::Credential, guessers::Guess, signature::request::S3ErrorCode};

/// How far `s3s` got with the verification of a request's signature.
///
/// `s3s` does not report this. `S3sAuth` and `S3sAccess` note it when they are called: `s3s` checks
/// the access only of requests with a valid signature, or without one.
#[derive(Debug, Default)]
pub(super) enum Verification {
    /// The session token was not made with the secret of this key.
    ForgedToken(Arc<Credential>),
    /// The key exists but may not sign, or its owner may not use it.
    MayNotSign,
    /// `s3s` has not asked for a secret: the request is not signed, malformed or too old, or the
    /// key could not be looked up.
    #[default]
    NotStarted,
    /// `s3s` has the secret of this key, and compares the signature.
    SecretGiven(Arc<Credential>),
    /// No key has this access key.
    UnknownKey(Box<str>),
    /// The signature is valid.
    Valid,
}

impl Verification {
    /// Returns the result for metrics, if the response has this status.
    pub(super) fn result(&self, status: StatusCode) -> Result<(), S3ErrorCode> {
        match self {
            Self::MayNotSign | Self::UnknownKey(_) => Err(S3ErrorCode::InvalidAccessKeyId),
            Self::ForgedToken(_) => Err(S3ErrorCode::InvalidToken),
            Self::SecretGiven(_) if status == StatusCode::FORBIDDEN => {
                Err(S3ErrorCode::SignatureDoesNotMatch)
            }
            // The boundary of the key, or the app, refused it.
            Self::Valid | Self::NotStarted if status == StatusCode::FORBIDDEN => {
                Err(S3ErrorCode::AccessDenied)
            }
            Self::NotStarted if status == StatusCode::SERVICE_UNAVAILABLE => {
                Err(S3ErrorCode::ServiceUnavailable)
            }
            Self::NotStarted | Self::SecretGiven(_) if status == StatusCode::BAD_REQUEST => {
                Err(S3ErrorCode::InvalidRequest)
            }
            Self::NotStarted | Self::SecretGiven(_) | Self::Valid => Ok(()),
        }
    }

    /// Returns what the request guessed at, if its response has this status.
    pub(super) fn guess(&self, status: StatusCode) -> Option<Guess> {
        match self {
            Self::UnknownKey(access_key) => Some(Guess::access_key(access_key)),
            Self::ForgedToken(key) => guess_at(key),
            // Malformed requests have other codes.
            Self::SecretGiven(key) if status == StatusCode::FORBIDDEN => guess_at(key),
            Self::MayNotSign | Self::NotStarted | Self::SecretGiven(_) | Self::Valid => None,
        }
    }
}

fn guess_at(key: &Credential) -> Option<Guess> {
    key.access_key.as_ref().map(|access_key| Guess::access_key(access_key.as_str()))
}
