//! S3's error codes, and why a signed request is refused before any key is asked.

use std::{error::Error as StdError, fmt};

use http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:ident $text:literal,)*) => {
        /// A code of an S3 error answer.
        ///
        /// Source: Amazon S3 API Reference, "Error responses".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum S3ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl S3ErrorCode {
            /// The code as it is written: `SignatureDoesNotMatch`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The status of an answer with this code.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                }
            }
        }
    };
}

codes! {
    /// It may not be done, or not any more.
    AccessDenied = FORBIDDEN "AccessDenied",
    /// The `Authorization` header is not what it should be.
    AuthorizationHeaderMalformed = BAD_REQUEST "AuthorizationHeaderMalformed",
    /// The parameters of a presigned URL are not what they should be.
    AuthorizationQueryParametersError = BAD_REQUEST "AuthorizationQueryParametersError",
    /// A checksum is not that of the content.
    BadDigest = BAD_REQUEST "BadDigest",
    /// More content than was allowed.
    EntityTooLarge = BAD_REQUEST "EntityTooLarge",
    /// Less content than was asked for.
    EntityTooSmall = BAD_REQUEST "EntityTooSmall",
    /// Less content than was announced.
    IncompleteBody = BAD_REQUEST "IncompleteBody",
    /// A form must have one file.
    IncorrectNumberOfFiles = BAD_REQUEST "IncorrectNumberOfFilesInPostRequest",
    /// There is no such key, or it may not be used.
    InvalidAccessKeyId = FORBIDDEN "InvalidAccessKeyId",
    /// A header, parameter or field has a value that it cannot have.
    InvalidArgument = BAD_REQUEST "InvalidArgument",
    /// The frame of a chunk is not what it should be.
    InvalidChunkSizeError = FORBIDDEN "InvalidChunkSizeError",
    /// The policy of a form is not what it should be.
    InvalidPolicyDocument = BAD_REQUEST "InvalidPolicyDocument",
    /// The request cannot be served as it is.
    InvalidRequest = BAD_REQUEST "InvalidRequest",
    /// Session tokens are not served.
    InvalidToken = BAD_REQUEST "InvalidToken",
    /// The path cannot be read.
    InvalidUri = BAD_REQUEST "InvalidURI",
    /// A form is not what it should be.
    MalformedPostRequest = BAD_REQUEST "MalformedPOSTRequest",
    /// The trailer is not what it should be.
    MalformedTrailerError = BAD_REQUEST "MalformedTrailerError",
    /// The fields before a form's file are too long.
    MaxPostPreDataLengthExceeded = BAD_REQUEST "MaxPostPreDataLengthExceededError",
    /// The length of the content must be told.
    MissingContentLength = LENGTH_REQUIRED "MissingContentLength",
    /// It was signed too long ago, or too far in the future.
    RequestTimeTooSkewed = FORBIDDEN "RequestTimeTooSkewed",
    /// The content did not arrive in time.
    RequestTimeout = BAD_REQUEST "RequestTimeout",
    /// Keys cannot be looked up; later they can.
    ServiceUnavailable = SERVICE_UNAVAILABLE "ServiceUnavailable",
    /// The signature is not that of the key.
    SignatureDoesNotMatch = FORBIDDEN "SignatureDoesNotMatch",
    /// The hash of the content is not the declared one.
    XAmzContentSha256Mismatch = BAD_REQUEST "XAmzContentSHA256Mismatch",
}

impl fmt::Display for S3ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a signed request is refused, whatever key it names.
///
/// Nothing that the client sent is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestError {
    code: S3ErrorCode,
    message: &'static str,
}

impl RequestError {
    pub(crate) fn new(code: S3ErrorCode, message: &'static str) -> Self {
        Self { code, message }
    }

    /// An `Authorization` header of version 4 that is not what it should be.
    pub(super) fn header(message: &'static str) -> Self {
        Self::new(S3ErrorCode::AuthorizationHeaderMalformed, message)
    }

    /// Parameters of version 4 that are not what they should be.
    pub(super) fn query(message: &'static str) -> Self {
        Self::new(S3ErrorCode::AuthorizationQueryParametersError, message)
    }

    pub(crate) fn session_token() -> Self {
        let message = "The provided token is malformed or otherwise not valid: no key here has a \
                       session token.";
        Self::new(S3ErrorCode::InvalidToken, message)
    }

    pub(crate) fn not_signed() -> Self {
        let message = "There were headers present in the request which were not signed.";
        Self::new(S3ErrorCode::AccessDenied, message)
    }

    pub(super) fn header_twice() -> Self {
        let message = "A header that may be there once is there twice.";
        Self::new(S3ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn unsupported() -> Self {
        let message = "The authorization mechanism you have provided is not supported. \
                       Please use AWS4-HMAC-SHA256.";
        Self::new(S3ErrorCode::InvalidRequest, message)
    }

    pub(super) fn no_date() -> Self {
        let message = "AWS authentication requires a valid Date or x-amz-date header";
        Self::new(S3ErrorCode::AccessDenied, message)
    }

    pub(super) fn skewed() -> Self {
        let message = "The difference between the request time and the current time is too large.";
        Self::new(S3ErrorCode::RequestTimeTooSkewed, message)
    }

    pub(super) fn invalid_uri() -> Self {
        Self::new(S3ErrorCode::InvalidUri, "Couldn't parse the specified URI.")
    }

    /// What S3 calls it.
    #[must_use]
    pub fn code(&self) -> S3ErrorCode {
        self.code
    }

    /// What the client is told.
    #[must_use]
    pub fn message(&self) -> &'static str {
        self.message
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl StdError for RequestError {}
