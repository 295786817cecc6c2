//! The errors of the query APIs: code, status and text.

use std::borrow::Cow;

use http::StatusCode;

use crate::{
    authority::{SignerError, SignerErrorKind},
    error::{Error, ErrorKind},
    guessers::Guess,
    signature::request::{RequestError, S3ErrorCode},
};

macro_rules! codes {
    ($($name:ident = $status:ident $text:literal,)*) => {
        /// The code of an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum QueryCode {
            $($name,)*
        }

        impl QueryCode {
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            pub(crate) fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                }
            }
        }
    };
}

codes! {
    AccessDenied = FORBIDDEN "AccessDenied",
    ConcurrentModification = CONFLICT "ConcurrentModification",
    ExpiredToken = FORBIDDEN "ExpiredToken",
    IncompleteSignature = BAD_REQUEST "IncompleteSignature",
    InvalidAction = BAD_REQUEST "InvalidAction",
    InvalidClientTokenId = FORBIDDEN "InvalidClientTokenId",
    InvalidIdentityToken = BAD_REQUEST "InvalidIdentityToken",
    InvalidInput = BAD_REQUEST "InvalidInput",
    LimitExceeded = CONFLICT "LimitExceeded",
    MalformedPolicyDocument = BAD_REQUEST "MalformedPolicyDocument",
    MissingAction = BAD_REQUEST "MissingAction",
    MissingAuthenticationToken = FORBIDDEN "MissingAuthenticationToken",
    NoSuchEntity = NOT_FOUND "NoSuchEntity",
    PackedPolicyTooLarge = BAD_REQUEST "PackedPolicyTooLarge",
    RequestEntityTooLarge = PAYLOAD_TOO_LARGE "RequestEntityTooLarge",
    RequestTimeout = REQUEST_TIMEOUT "RequestTimeout",
    ServiceFailure = INTERNAL_SERVER_ERROR "ServiceFailure",
    ServiceUnavailable = SERVICE_UNAVAILABLE "ServiceUnavailable",
    SignatureDoesNotMatch = FORBIDDEN "SignatureDoesNotMatch",
    Throttling = BAD_REQUEST "Throttling",
    ValidationError = BAD_REQUEST "ValidationError",
}

/// Why a request to a query API is refused.
#[derive(Debug)]
pub(crate) struct QueryError {
    pub(crate) code: QueryCode,
    pub(crate) message: Cow<'static, str>,
    /// What other dialects would respond with, for outer layers.
    pub(crate) source: Option<Error>,
    /// What the request guessed at.
    pub(crate) guess: Option<Guess>,
}

impl QueryError {
    pub(crate) fn new(code: QueryCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), source: None, guess: None }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(QueryCode::ValidationError, message)
    }

    pub(crate) fn not_signed() -> Self {
        let message = "Request is missing Authentication Token";
        Self::new(QueryCode::MissingAuthenticationToken, message)
    }

    pub(crate) fn no_action_given() -> Self {
        Self::new(QueryCode::MissingAction, "The request is missing an action.")
    }

    pub(crate) fn not_posted() -> Self {
        Self::new(QueryCode::InvalidAction, "A signed request must be a POST.")
    }

    /// The refusal of an action that is not served.
    pub(crate) fn no_action(action: &str) -> Self {
        let shown: String = action.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        let message = format!(
            "The action {shown} is not served here, or not in this version. The operator's \
             directory manages users and their rights."
        );
        Self::new(QueryCode::InvalidAction, message)
    }
}

impl From<RequestError> for QueryError {
    fn from(error: RequestError) -> Self {
        let code = match error.code() {
            S3ErrorCode::InvalidToken => QueryCode::InvalidClientTokenId,
            S3ErrorCode::SignatureDoesNotMatch | S3ErrorCode::RequestTimeTooSkewed => {
                QueryCode::SignatureDoesNotMatch
            }
            _ => QueryCode::IncompleteSignature,
        };
        Self::new(code, error.message())
    }
}

impl From<Error> for QueryError {
    fn from(error: Error) -> Self {
        SignerError::from(error).into()
    }
}

impl From<SignerError> for QueryError {
    fn from(error: SignerError) -> Self {
        let SignerError { kind, message, source, guess } = error;
        let code = match kind {
            SignerErrorKind::AccessDenied => QueryCode::AccessDenied,
            SignerErrorKind::ExpiredToken => QueryCode::ExpiredToken,
            SignerErrorKind::InvalidClient => QueryCode::InvalidClientTokenId,
            SignerErrorKind::InvalidParameter => QueryCode::ValidationError,
            SignerErrorKind::MalformedPolicy => QueryCode::MalformedPolicyDocument,
            SignerErrorKind::PolicyTooLarge => QueryCode::PackedPolicyTooLarge,
            SignerErrorKind::WrongSignature => QueryCode::SignatureDoesNotMatch,
            SignerErrorKind::Shared(kind) => code_of(kind),
        };
        Self { code, message: message.into(), source, guess }
    }
}

fn code_of(kind: ErrorKind) -> QueryCode {
    match kind {
        ErrorKind::BadRequest => QueryCode::ValidationError,
        ErrorKind::Conflict => QueryCode::ConcurrentModification,
        ErrorKind::Forbidden | ErrorKind::NotInProject => QueryCode::AccessDenied,
        ErrorKind::Internal => QueryCode::ServiceFailure,
        ErrorKind::MethodNotAllowed | ErrorKind::UnsupportedMediaType => QueryCode::InvalidAction,
        ErrorKind::NotFound => QueryCode::NoSuchEntity,
        ErrorKind::PayloadTooLarge => QueryCode::RequestEntityTooLarge,
        ErrorKind::QuotaExceeded => QueryCode::LimitExceeded,
        ErrorKind::RequestTimeout => QueryCode::RequestTimeout,
        ErrorKind::TooManyRequests => QueryCode::Throttling,
        ErrorKind::Unauthenticated | ErrorKind::UserDisabled => QueryCode::InvalidClientTokenId,
        ErrorKind::Unavailable => QueryCode::ServiceUnavailable,
    }
}
