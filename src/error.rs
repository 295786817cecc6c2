//! One error for everything that can go wrong with a credential request.

use std::{borrow::Cow, error::Error as StdError, fmt};

use crate::{
    auth::AuthError,
    backend::BackendError,
    directory::DirectoryError,
    domain::{InvalidBlob, InvalidId, InvalidKey, RandomError},
    issuer::IssueError,
};

/// Why a credential request was refused or failed.
///
/// It never leaves the layer as a service error: dialects render it as a
/// response, and the layer also puts it, as `Arc<Error>`, into that response's
/// extensions, so that an outer layer can see the cause that the client is not told.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(ErrorKind::Forbidden, "You are not authorized to perform the requested action.")
    }

    pub(crate) fn foreign_origin() -> Self {
        let message = "The page that sends this request has an origin that is not trusted.";
        Self::new(ErrorKind::Forbidden, message)
    }

    pub(crate) fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Unavailable, UNAVAILABLE).with_source(source)
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(ErrorKind::Unauthenticated, UNAUTHENTICATED)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(ErrorKind::MethodNotAllowed, "The method is not allowed here.")
    }

    pub(crate) fn no_such_credential() -> Self {
        Self::new(ErrorKind::NotFound, "No such credential.")
    }

    /// What kind of refusal or failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the client is told: never a secret, and never why the service failed.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What kind of refusal or failure an [`Error`] is. Dialects map each to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request does not follow the specification.
    BadRequest,
    /// The credential, or its place, is taken; or it changed while being changed.
    Conflict,
    /// The caller may not make this call.
    Forbidden,
    /// The store holds something that cannot be read.
    Internal,
    /// The path is ours, the method is not offered there.
    MethodNotAllowed,
    /// There is no such credential, user or project, or the caller may not know of it.
    NotFound,
    /// The user is known but has no place in the project.
    NotInProject,
    /// The body is larger than the layer's limit.
    PayloadTooLarge,
    /// The user holds as many credentials as allowed.
    QuotaExceeded,
    /// The body did not arrive in time.
    RequestTimeout,
    /// There is no token, or it is not valid.
    Unauthenticated,
    /// The store, the validator or the directory is down; retrying may help.
    Unavailable,
    /// The body is in a media type that the dialect does not take.
    UnsupportedMediaType,
    /// The token's user is disabled.
    UserDisabled,
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        let (kind, message) = match error {
            // One text for all: which of them it was is nobody's business.
            AuthError::Expired | AuthError::Invalid => {
                (ErrorKind::Unauthenticated, UNAUTHENTICATED)
            }
            AuthError::UserDisabled => (ErrorKind::UserDisabled, "User is disabled."),
            AuthError::Unavailable(_) => (ErrorKind::Unavailable, UNAVAILABLE),
        };
        Self::new(kind, message).with_source(error)
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        let (kind, message) = match error {
            BackendError::AlreadyExists => (ErrorKind::Conflict, "The credential already exists."),
            BackendError::Corrupt(_) => (ErrorKind::Internal, "An unexpected error occurred."),
            BackendError::QuotaExceeded => (
                ErrorKind::QuotaExceeded,
                "The user has reached the maximum number of credentials.",
            ),
            BackendError::Unavailable(_) => (ErrorKind::Unavailable, UNAVAILABLE),
            BackendError::Unstorable(_) => {
                (ErrorKind::BadRequest, "The credential is too long for the store.")
            }
        };
        Self::new(kind, message).with_source(error)
    }
}

impl From<DirectoryError> for Error {
    fn from(error: DirectoryError) -> Self {
        Self::unavailable(error)
    }
}

impl From<IssueError> for Error {
    fn from(error: IssueError) -> Self {
        Self::unavailable(error)
    }
}

impl From<RandomError> for Error {
    fn from(error: RandomError) -> Self {
        Self::unavailable(error)
    }
}

impl From<InvalidBlob> for Error {
    fn from(error: InvalidBlob) -> Self {
        Self::bad_request(
            "The blob of a key pair must be the JSON text of an object with an access key.",
        )
        .with_source(error)
    }
}

impl From<InvalidId> for Error {
    fn from(error: InvalidId) -> Self {
        Self::bad_request("An id is empty, too long, or holds a character that is not allowed.")
            .with_source(error)
    }
}

impl From<InvalidKey> for Error {
    fn from(error: InvalidKey) -> Self {
        Self::bad_request("A key is empty, too long, or holds a character that is not allowed.")
            .with_source(error)
    }
}

const UNAUTHENTICATED: &str = "The request you have made requires authentication.";
const UNAVAILABLE: &str = "The credential service is currently unavailable.";
