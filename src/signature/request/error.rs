//! S3's error codes, and the errors of signed requests that never verify.

use std::{error::Error as StdError, fmt};

use http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:ident $text:literal,)*) => {
        /// The code of an S3 error response.
        ///
        /// Source: Amazon S3 API Reference, "Error responses".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum S3ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl S3ErrorCode {
            /// Returns the code as S3 spells it: `SignatureDoesNotMatch`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Returns the status of a response with this code.
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
    /// The request is not allowed, or has expired.
    AccessDenied = FORBIDDEN "AccessDenied",
    /// The `Authorization` header is malformed.
    AuthorizationHeaderMalformed = BAD_REQUEST "AuthorizationHeaderMalformed",
    /// The parameters of a presigned URL are malformed.
    AuthorizationQueryParametersError = BAD_REQUEST "AuthorizationQueryParametersError",
    /// A checksum does not match the content.
    BadDigest = BAD_REQUEST "BadDigest",
    /// The content is larger than allowed.
    EntityTooLarge = BAD_REQUEST "EntityTooLarge",
    /// The content is smaller than required.
    EntityTooSmall = BAD_REQUEST "EntityTooSmall",
    /// The content is shorter or longer than declared.
    IncompleteBody = BAD_REQUEST "IncompleteBody",
    /// The session has ended.
    ExpiredToken = BAD_REQUEST "ExpiredToken",
    /// A form must contain exactly one file.
    IncorrectNumberOfFiles = BAD_REQUEST "IncorrectNumberOfFilesInPostRequest",
    /// The access key does not exist or may not be used.
    InvalidAccessKeyId = FORBIDDEN "InvalidAccessKeyId",
    /// A header, parameter or field has an invalid value.
    InvalidArgument = BAD_REQUEST "InvalidArgument",
    /// A chunk has an invalid size.
    InvalidChunkSizeError = FORBIDDEN "InvalidChunkSizeError",
    /// The policy of a form is malformed.
    InvalidPolicyDocument = BAD_REQUEST "InvalidPolicyDocument",
    /// The request is invalid or unsupported.
    InvalidRequest = BAD_REQUEST "InvalidRequest",
    /// The session token is malformed or does not belong to the access key.
    InvalidToken = BAD_REQUEST "InvalidToken",
    /// The path cannot be parsed.
    InvalidUri = BAD_REQUEST "InvalidURI",
    /// A form is malformed.
    MalformedPostRequest = BAD_REQUEST "MalformedPOSTRequest",
    /// The body is not the XML that the operation takes.
    MalformedXml = BAD_REQUEST "MalformedXML",
    /// A trailer is malformed.
    MalformedTrailerError = BAD_REQUEST "MalformedTrailerError",
    /// The body is too long for the operation.
    MaxMessageLengthExceeded = BAD_REQUEST "MaxMessageLengthExceeded",
    /// The fields before a form's file are too large.
    MaxPostPreDataLengthExceeded = BAD_REQUEST "MaxPostPreDataLengthExceededError",
    /// The length of the content is missing.
    MissingContentLength = LENGTH_REQUIRED "MissingContentLength",
    /// The request was signed too long ago, or too far in the future.
    RequestTimeTooSkewed = FORBIDDEN "RequestTimeTooSkewed",
    /// The content did not arrive in time.
    RequestTimeout = BAD_REQUEST "RequestTimeout",
    /// Keys cannot be looked up at the moment.
    ServiceUnavailable = SERVICE_UNAVAILABLE "ServiceUnavailable",
    /// The signature does not match.
    SignatureDoesNotMatch = FORBIDDEN "SignatureDoesNotMatch",
    /// Too many requests are in progress.
    SlowDown = SERVICE_UNAVAILABLE "SlowDown",
    /// The SHA-256 of the content does not match the declared one.
    XAmzContentSha256Mismatch = BAD_REQUEST "XAmzContentSHA256Mismatch",
}

impl fmt::Display for S3ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Error of a signed request that is rejected whatever key it names.
///
/// Repeats nothing that the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestError {
    code: S3ErrorCode,
    message: &'static str,
}

impl RequestError {
    pub(crate) fn new(code: S3ErrorCode, message: &'static str) -> Self {
        Self { code, message }
    }

    /// Creates the error of a malformed `Authorization` header of version 4.
    pub(super) fn header(message: &'static str) -> Self {
        Self::new(S3ErrorCode::AuthorizationHeaderMalformed, message)
    }

    /// Creates the error of malformed parameters of version 4.
    pub(super) fn query(message: &'static str) -> Self {
        Self::new(S3ErrorCode::AuthorizationQueryParametersError, message)
    }

    pub(crate) fn session_token() -> Self {
        let message = "The provided token is malformed or otherwise not valid.";
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

    /// Returns S3's code for the error.
    #[must_use]
    pub fn code(&self) -> S3ErrorCode {
        self.code
    }

    /// Returns the message that the client receives.
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
