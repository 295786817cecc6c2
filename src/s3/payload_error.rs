//! The errors of request bodies, and the verdict that outlives a body.

use std::{
    error::Error as StdError,
    fmt,
    sync::{Arc, OnceLock},
};

use crate::signature::{ChunkedError, request::S3ErrorCode};

/// Error of [`VerifiedBody`](super::VerifiedBody).
///
/// Repeats nothing that the client sent.
#[derive(Debug)]
pub struct PayloadError {
    kind: PayloadErrorKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kind of a [`PayloadError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadErrorKind {
    /// The payload does not match its `x-amz-checksum-...`.
    BadDigest,
    /// The payload is in chunks, and these are invalid.
    Chunked(ChunkedError),
    /// The file is larger than the form's policy allows.
    EntityTooLarge,
    /// The file is smaller than the form's policy allows.
    EntityTooSmall,
    /// The form does not end after the file, or is malformed there.
    Form,
    /// The payload does not match its `x-amz-content-sha256`.
    HashMismatch,
    /// The payload is longer or shorter than declared.
    Length,
    /// The body of the request could not be read.
    Transport,
}

impl PayloadError {
    pub(crate) fn new(kind: PayloadErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Creates the error of a body that could not be read.
    pub(crate) fn transport(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: PayloadErrorKind::Transport, source: Some(source.into()) }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> PayloadErrorKind {
        self.kind
    }
}

impl PayloadErrorKind {
    /// Returns S3's code for the error.
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

/// Reports whether the payload of a body was refused, whatever its reader did with the error.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict(Arc<OnceLock<PayloadErrorKind>>);

impl Verdict {
    /// Returns why the payload was refused, if it was.
    pub(super) fn refused(&self) -> Option<PayloadErrorKind> {
        self.0.get().copied()
    }

    /// Refuses the payload.
    pub(super) fn refuse(&self, kind: PayloadErrorKind) -> PayloadError {
        self.record(PayloadError::new(kind))
    }

    /// Records an error, unless it does not concern the payload.
    pub(super) fn record(&self, error: PayloadError) -> PayloadError {
        if error.kind() != PayloadErrorKind::Transport {
            // A body fails once.
            let _ = self.0.set(error.kind());
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_error_has_its_cause_as_source() {
        let error = PayloadError::transport("connection reset");
        assert_eq!(error.kind(), PayloadErrorKind::Transport);
        assert_eq!(error.source().unwrap().to_string(), "connection reset");
        assert!(!error.to_string().contains("reset"));
        let error = PayloadError::new(PayloadErrorKind::BadDigest);
        assert!(error.source().is_none());
    }
}
