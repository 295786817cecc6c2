//! The first line of a chunk, and the errors of chunks.

use std::{error::Error as StdError, fmt, str};

use crate::signature::signing_key::parse_signature;

/// Error of a payload in chunks.
///
/// Repeats nothing that the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkedError {
    /// The payload does not match its checksum.
    BadDigest,
    /// A chunk's signature does not match.
    ChunkSignature,
    /// The payload has too many small chunks.
    ChunkTooSmall,
    /// A chunk is malformed, or data follows the end.
    Malformed,
    /// The trailers are malformed, or an announced trailer is missing.
    MalformedTrailer,
    /// The payload is longer than declared.
    TooLong,
    /// The payload is complete and shorter than declared.
    TooShort,
    /// The trailers' signature is missing or does not match.
    TrailerSignature,
    /// The body ended before the last chunk or trailer.
    Truncated,
    /// A trailer was not announced.
    UnannouncedTrailer,
    /// An announced trailer is not a known checksum, or several are announced.
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

/// The longest line, in bytes, with its ending: 16 digits, the name, and a signature.
pub(super) const LONGEST: usize = 16 + SIGNATURE.len() + 64 + 2;

const SIGNATURE: &str = ";chunk-signature=";

/// The size of a chunk, in bytes, and its signature. Without signatures it is all zeros.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChunkHead {
    pub(super) size: u64,
    pub(super) signature: [u8; 32],
}

impl ChunkHead {
    /// Parses a line with its ending: 1 to 16 hex digits, and a signature if and only if
    /// chunks are signed.
    pub(super) fn parse(line: &[u8], signed: bool) -> Result<Self, ChunkedError> {
        let line = line.strip_suffix(b"\r\n").ok_or(ChunkedError::Malformed)?;
        let line = str::from_utf8(line).map_err(|_| ChunkedError::Malformed)?;
        let (size, signature) = match line.split_once(SIGNATURE) {
            Some((size, signature)) if signed => {
                (size, parse_signature(signature).ok_or(ChunkedError::Malformed)?)
            }
            None if !signed => (line, [0; 32]),
            _ => return Err(ChunkedError::Malformed),
        };
        // The standard library's parser would accept a sign.
        if size.len() > 16 || !size.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ChunkedError::Malformed);
        }
        let size = u64::from_str_radix(size, 16).map_err(|_| ChunkedError::Malformed)?;
        Ok(Self { size, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_head_has_exactly_one_form() {
        let signature = "0a".repeat(32);
        let signed = |text: &str| ChunkHead::parse(text.as_bytes(), true);
        let plain = |text: &str| ChunkHead::parse(text.as_bytes(), false);
        for (size, number) in
            [("0", 0), ("00", 0), ("fF", 255), ("0010000", 65_536), ("ffffffffffffffff", u64::MAX)]
        {
            let head = ChunkHead { size: number, signature: [10; 32] };
            assert_eq!(signed(&format!("{size};chunk-signature={signature}\r\n")), Ok(head));
            assert_eq!(plain(&format!("{size}\r\n")).unwrap().size, number);
        }
        let upper = signature.to_uppercase();
        for bad in [
            String::new(),
            "\r\n".to_owned(),
            "5\r\n".to_owned(),
            format!("5;chunk-signature={signature}"),
            format!("5;chunk-signature={signature}\n"),
            format!("5;chunk-signature={signature} \r\n"),
            format!("5;chunk-signature={upper}\r\n"),
            format!("5;chunk-signature={}\r\n", &signature[1..]),
            "5;chunk-signature=\r\n".to_owned(),
            format!("5; chunk-signature={signature}\r\n"),
            format!("5;Chunk-Signature={signature}\r\n"),
            format!("5;x=y;chunk-signature={signature}\r\n"),
            format!("5;chunk-signature={signature};x=y\r\n"),
            format!(";chunk-signature={signature}\r\n"),
            format!("+5;chunk-signature={signature}\r\n"),
            format!("-5;chunk-signature={signature}\r\n"),
            format!("0x5;chunk-signature={signature}\r\n"),
            format!(" 5;chunk-signature={signature}\r\n"),
            format!("5g;chunk-signature={signature}\r\n"),
            format!("{}5;chunk-signature={signature}\r\n", "0".repeat(16)),
        ] {
            assert_eq!(signed(&bad), Err(ChunkedError::Malformed), "{bad}");
        }
        for bad in [
            "",
            "\r\n",
            "5",
            "5\n",
            "+5\r\n",
            "5 \r\n",
            "5;\r\n",
            "5;x=y\r\n",
            "10000000000000000\r\n",
        ] {
            assert_eq!(plain(bad), Err(ChunkedError::Malformed), "{bad}");
        }
        assert!(plain(&format!("5;chunk-signature={signature}\r\n")).is_err());
        assert!(ChunkHead::parse(b"\xff\r\n", false).is_err());
    }
}
