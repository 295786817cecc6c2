//! [`Error`]: why a credential request was refused or failed.

use std::{borrow::Cow, error::Error as StdError, fmt};

use crate::{
    auth::AuthError,
    backend::BackendError,
    boundary::BoundaryError,
    directory::DirectoryError,
    domain::{InvalidBlob, InvalidId, InvalidKey, InvalidTerm, NotRotatable, RandomError},
    guessers::Guess,
    issuer::IssueError,
};

/// Why a credential request was refused or failed.
///
/// The layer never returns it as a service error. Dialects render it as a response. The
/// layer also puts it, as `Arc<Error>`, into the extensions of that response, so that an
/// outer layer can see the cause, which the client does not get.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    guess: Option<Guess>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None, guess: None }
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Notes that the request guessed at a secret or a token.
    pub(crate) fn with_guess(self, guess: Option<Guess>) -> Self {
        Self { guess, ..self }
    }

    /// Returns what the request guessed at, if it did.
    pub(crate) fn take_guess(&mut self) -> Option<Guess> {
        self.guess.take()
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

    /// Returns the kind of refusal or failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the text for the client. It never contains a secret or the cause of a
    /// failure of the service.
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

/// The kind of refusal or failure that an [`Error`] is. Dialects map each kind to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request does not follow the specification.
    BadRequest,
    /// The id, access key or slot is taken, or another writer changed the credential.
    Conflict,
    /// The caller may not do this.
    Forbidden,
    /// A stored record cannot be read.
    Internal,
    /// The layer serves the path, but not with this method.
    MethodNotAllowed,
    /// The credential, user or project does not exist, or the caller may not know of it.
    NotFound,
    /// The user exists but has no place in the project.
    NotInProject,
    /// The body is larger than the layer's limit.
    PayloadTooLarge,
    /// The user has as many credentials as the quota allows.
    QuotaExceeded,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The caller has created as many credentials and sessions in this minute as it may.
    TooManyRequests,
    /// The token is missing or not valid.
    Unauthenticated,
    /// The store, the validator or the directory is unavailable; retrying may help.
    Unavailable,
    /// The dialect does not accept the media type of the body.
    UnsupportedMediaType,
    /// The token's user is disabled.
    UserDisabled,
}

impl ErrorKind {
    /// Returns the kind as a word for programs, such as `conflict`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Conflict => "conflict",
            Self::Forbidden => "forbidden",
            Self::Internal => "internal",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotFound => "not_found",
            Self::NotInProject => "not_in_project",
            Self::PayloadTooLarge => "payload_too_large",
            Self::QuotaExceeded => "quota_exceeded",
            Self::RequestTimeout => "request_timeout",
            Self::TooManyRequests => "too_many_requests",
            Self::Unauthenticated => "unauthenticated",
            Self::Unavailable => "unavailable",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UserDisabled => "user_disabled",
        }
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        let (kind, message) = match error {
            // One text for all, so that the client does not learn which it was.
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
        let (kind, message) = match &error {
            BackendError::AlreadyExists => {
                (ErrorKind::Conflict, Cow::Borrowed("The credential already exists."))
            }
            BackendError::Rejected(reason) => {
                let message = format!("The credential cannot be stored: {reason}.");
                (ErrorKind::Conflict, Cow::Owned(message))
            }
            BackendError::Corrupt(_) => {
                (ErrorKind::Internal, "An unexpected error occurred.".into())
            }
            BackendError::QuotaExceeded => (
                ErrorKind::QuotaExceeded,
                "The user has reached the maximum number of credentials.".into(),
            ),
            BackendError::Unavailable(_) => (ErrorKind::Unavailable, UNAVAILABLE.into()),
            BackendError::Unstorable(_) => {
                (ErrorKind::BadRequest, "The credential is too long for the store.".into())
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

impl From<NotRotatable> for Error {
    fn from(error: NotRotatable) -> Self {
        Self::new(ErrorKind::Conflict, format!("The credential cannot be rotated: {error}."))
    }
}

impl From<InvalidTerm> for Error {
    fn from(error: InvalidTerm) -> Self {
        Self::bad_request(format!("{error}."))
    }
}

impl From<BoundaryError> for Error {
    fn from(error: BoundaryError) -> Self {
        Self::bad_request(format!("{error}."))
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
