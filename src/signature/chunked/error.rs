//! Why a payload in chunks is refused.

use std::{error::Error as StdError, fmt};

/// A payload in chunks that is not what its client says.
///
/// Nothing that the client sent is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkedError {
    /// The payload's checksum is another one.
    BadDigest,
    /// A chunk's signature is another one.
    ChunkSignature,
    /// There are too many small chunks.
    ChunkTooSmall,
    /// A chunk does not have the form that it must have, or something follows the end.
    Malformed,
    /// The trailers do not have the form that they must have, or one that was
    /// announced is missing.
    MalformedTrailer,
    /// The payload is longer than its client said.
    TooLong,
    /// The payload is whole, and shorter than its client said.
    TooShort,
    /// The trailers' signature is another one, or missing.
    TrailerSignature,
    /// The body breaks off before the end.
    Truncated,
    /// There is a trailer that was not announced.
    UnannouncedTrailer,
    /// A trailer is announced that is no known checksum, or more than one.
    UnsupportedTrailer,
}

impl fmt::Display for ChunkedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadDigest => "the payload's checksum is not the one that was sent",
            Self::ChunkSignature => "a chunk's signature does not match",
            Self::ChunkTooSmall => "there are too many small chunks",
            Self::Malformed => "a chunk is malformed",
            Self::MalformedTrailer => "the trailers are malformed or incomplete",
            Self::TooLong => "the payload is longer than announced",
            Self::TooShort => "the payload is shorter than announced",
            Self::TrailerSignature => "the trailers' signature does not match",
            Self::Truncated => "the body breaks off",
            Self::UnannouncedTrailer => "a trailer was not announced",
            Self::UnsupportedTrailer => "the announced trailers are not supported",
        })
    }
}

impl StdError for ChunkedError {}
