//! What a request declares of its body.

use super::error::{RequestError, S3ErrorCode};
use crate::signature::v4::parse_signature;

/// What `x-amz-content-sha256` declares of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Its SHA-256, which is signed.
    Hash([u8; 32]),
    /// Chunks, in the content coding `aws-chunked`.
    Streaming(Streaming),
    /// Nothing: `UNSIGNED-PAYLOAD`.
    Unsigned,
}

/// How a body in chunks is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// Each chunk is signed: `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    Signed,
    /// Each chunk is signed, and so are the trailers:
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`.
    SignedTrailer,
    /// By the checksum in the trailers alone: `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    UnsignedTrailer,
}

impl Payload {
    /// Reads the value of the header.
    pub(super) fn parse(text: &str) -> Result<Self, RequestError> {
        Ok(match text {
            "UNSIGNED-PAYLOAD" => Self::Unsigned,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Self::Streaming(Streaming::Signed),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
                Self::Streaming(Streaming::SignedTrailer)
            }
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Self::Streaming(Streaming::UnsignedTrailer),
            _ => {
                // A hash is written as a signature is.
                let Some(hash) = parse_signature(text) else {
                    let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, \
                                   STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
                                   STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, \
                                   STREAMING-UNSIGNED-PAYLOAD-TRAILER, or a SHA-256 in hex.";
                    return Err(RequestError::new(S3ErrorCode::InvalidArgument, message));
                };
                Self::Hash(hash)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_payload_is_one_of_five_things() {
        assert_eq!(Payload::parse(&"0a".repeat(32)), Ok(Payload::Hash([10; 32])));
        assert_eq!(Payload::parse("UNSIGNED-PAYLOAD"), Ok(Payload::Unsigned));
        let signed = Payload::parse("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        assert_eq!(signed, Ok(Payload::Streaming(Streaming::Signed)));
        for bad in [
            "",
            "unsigned-payload",
            "STREAMING-UNSIGNED-PAYLOAD",
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
            &"0A".repeat(32),
            &"0a".repeat(31),
            &"0a".repeat(33),
        ] {
            assert!(Payload::parse(bad).is_err(), "{bad}");
        }
    }
}
