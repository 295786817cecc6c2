//! Why a body cannot be read to its end.

use std::{error::Error as StdError, fmt};

use crate::signature::{ChunkedError, request::S3ErrorCode};

/// Error of [`VerifiedBody`](super::VerifiedBody).
///
/// Nothing that the client sent is repeated.
#[derive(Debug)]
pub struct PayloadError {
    kind: PayloadErrorKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What is wrong with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadErrorKind {
    /// Its checksum is another one than `x-amz-checksum-...` says.
    BadDigest,
    /// It is in chunks, which are not right.
    Chunked(ChunkedError),
    /// It is a file that is larger than the form's policy allows.
    EntityTooLarge,
    /// It is a file that is smaller than the form's policy allows.
    EntityTooSmall,
    /// It is a file in a form that does not end as a form does.
    Form,
    /// Its SHA-256 is another one than `x-amz-content-sha256` says.
    HashMismatch,
    /// It is longer or shorter than its client said.
    Length,
    /// The request's own body failed.
    Transport,
}

impl PayloadError {
    pub(crate) fn new(kind: PayloadErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// The request's own body failed.
    pub(crate) fn transport(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: PayloadErrorKind::Transport, source: Some(source.into()) }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> PayloadErrorKind {
        self.kind
    }
}

impl PayloadErrorKind {
    /// What S3 calls it.
    #[must_use]
    pub fn code(self) -> S3ErrorCode {
        match self {
            Self::BadDigest => S3ErrorCode::BadDigest,
            Self::Chunked(error) => match error {
                ChunkedError::BadDigest => S3ErrorCode::BadDigest,
                ChunkedError::ChunkSignature | ChunkedError::TrailerSignature => {
                    S3ErrorCode::SignatureDoesNotMatch
                }
                ChunkedError::ChunkTooSmall => S3ErrorCode::InvalidChunkSizeError,
                ChunkedError::Malformed | ChunkedError::UnsupportedTrailer => {
                    S3ErrorCode::InvalidRequest
                }
                ChunkedError::MalformedTrailer | ChunkedError::UnannouncedTrailer => {
                    S3ErrorCode::MalformedTrailerError
                }
                ChunkedError::TooLong | ChunkedError::TooShort | ChunkedError::Truncated => {
                    S3ErrorCode::IncompleteBody
                }
            },
            Self::EntityTooLarge => S3ErrorCode::EntityTooLarge,
            Self::EntityTooSmall => S3ErrorCode::EntityTooSmall,
            Self::Form => S3ErrorCode::MalformedPostRequest,
            Self::HashMismatch => S3ErrorCode::XAmzContentSha256Mismatch,
            Self::Length | Self::Transport => S3ErrorCode::IncompleteBody,
        }
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Display for PayloadErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadDigest => f.write_str("the payload's checksum is not the one that was sent"),
            Self::Chunked(error) => error.fmt(f),
            Self::EntityTooLarge => f.write_str("the file is larger than the policy allows"),
            Self::EntityTooSmall => f.write_str("the file is smaller than the policy allows"),
            Self::Form => f.write_str("the form breaks off or is malformed"),
            Self::HashMismatch => f.write_str("the payload's hash is not the one that was sent"),
            Self::Length => f.write_str("the payload is not as long as announced"),
            Self::Transport => f.write_str("the body could not be read"),
        }
    }
}

impl StdError for PayloadError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<ChunkedError> for PayloadErrorKind {
    fn from(error: ChunkedError) -> Self {
        Self::Chunked(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_broken_transport_is_its_source() {
        let error = PayloadError::transport("connection reset");
        assert_eq!(error.kind(), PayloadErrorKind::Transport);
        assert_eq!(error.source().unwrap().to_string(), "connection reset");
        assert!(!error.to_string().contains("reset"));
        let error = PayloadError::new(PayloadErrorKind::BadDigest);
        assert!(error.source().is_none());
    }
}
