//! What a request declares about its body.

use super::error::{RequestError, S3ErrorCode};
use crate::signature::signing_key::parse_signature;

/// What `x-amz-content-sha256` declares about the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// The SHA-256 of the body, which is signed.
    Hash([u8; 32]),
    /// Chunks in the content coding `aws-chunked`.
    Streaming(Streaming),
    /// Nothing: `UNSIGNED-PAYLOAD`.
    Unsigned,
}

/// How a body in chunks is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Streaming {
    /// Each chunk is signed: `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    Signed,
    /// Each chunk is signed, and the trailers are signed:
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`.
    SignedTrailer,
    /// Only a checksum in the trailers: `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    UnsignedTrailer,
}

/// The SHA-256 of an empty body.
const EMPTY_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];
const EMPTY_SHA256_HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl Payload {
    /// Returns whether the request declares an empty body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::Hash(EMPTY_SHA256)
    }

    /// Parses the value of the header.
    pub(super) fn parse(text: &str) -> Result<Self, RequestError> {
        Ok(match text {
            // Most requests declare an empty body.
            EMPTY_SHA256_HEX => Self::Hash(EMPTY_SHA256),
            "UNSIGNED-PAYLOAD" => Self::Unsigned,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Self::Streaming(Streaming::Signed),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
                Self::Streaming(Streaming::SignedTrailer)
            }
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Self::Streaming(Streaming::UnsignedTrailer),
            _ => {
                // A hash has the same form as a signature.
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
    fn declared_payload_is_one_of_five_forms() {
        assert_eq!(Payload::parse(&"0a".repeat(32)), Ok(Payload::Hash([10; 32])));
        let empty = Payload::parse(EMPTY_SHA256_HEX).unwrap();
        assert!(empty.is_empty());
        assert_eq!(parse_signature(EMPTY_SHA256_HEX), Some(EMPTY_SHA256));
        assert_eq!(crate::signature::hash::sha256(b""), EMPTY_SHA256);
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
