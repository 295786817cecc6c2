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

/// SHA-256 of nothing.
const OF_NOTHING: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];
const OF_NOTHING_IN_HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl Payload {
    /// Whether it is declared that there is no body.
    #[must_use]
    pub fn is_of_nothing(&self) -> bool {
        *self == Self::Hash(OF_NOTHING)
    }

    /// Reads the value of the header.
    pub(super) fn parse(text: &str) -> Result<Self, RequestError> {
        Ok(match text {
            // Most requests have no body, and say so.
            OF_NOTHING_IN_HEX => Self::Hash(OF_NOTHING),
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
        let nothing = Payload::parse(OF_NOTHING_IN_HEX).unwrap();
        assert!(nothing.is_of_nothing());
        assert_eq!(parse_signature(OF_NOTHING_IN_HEX), Some(OF_NOTHING));
        assert_eq!(crate::signature::hash::sha256(b""), OF_NOTHING);
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
