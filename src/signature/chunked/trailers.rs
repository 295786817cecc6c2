//! The trailers after the last chunk.
//!
//! The SDKs of AWS write each trailer on a line of its own, then the signature if
//! there is one, then an empty line. MinIO's clients end the trailers' lines with a
//! line feed alone, and also write an empty line before the signature; without a
//! signature they write two. Both forms are accepted, and no mixture of them.

use std::str;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{chain::ChunkChain, head::ChunkedError};
use crate::signature::{
    checksum::{Checksum, ChecksumAlgorithm, Hasher},
    signing_key::parse_signature,
};

const SIGNATURE: &[u8] = b"x-amz-trailer-signature:";

/// The trailers of a payload: at most one, which is a checksum, as in S3.
pub(super) struct Trailers {
    /// The announced checksum, computed as the payload arrives.
    announced: Option<(ChecksumAlgorithm, Hasher)>,
    found: Option<(HeaderValue, Checksum)>,
    /// The signed form of the trailers.
    text: Vec<u8>,
    signature: Option<[u8; 32]>,
    stage: Stage,
}

/// Which line may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Any.
    Start,
    /// The last line, which is empty.
    End,
    /// The empty line before the signature, in MinIO's form.
    Gap,
    /// The signature, in MinIO's form.
    Signature,
}

impl Trailers {
    /// Parses `x-amz-trailer`, the names of the trailers.
    pub(super) fn announced(names: &str) -> Result<Self, ChunkedError> {
        let mut announced = None;
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let algorithm =
                ChecksumAlgorithm::of_header(name).ok_or(ChunkedError::UnsupportedTrailer)?;
            if announced.replace((algorithm, Hasher::new(algorithm))).is_some() {
                return Err(ChunkedError::UnsupportedTrailer);
            }
        }
        Ok(Self { announced, found: None, text: Vec::new(), signature: None, stage: Stage::Start })
    }

    /// Hashes the next bytes of the payload.
    pub(super) fn update(&mut self, data: &[u8]) {
        if let Some((_, hasher)) = &mut self.announced {
            hasher.update(data);
        }
    }

    /// Processes a line with its ending. Returns whether it is the last one.
    pub(super) fn line(&mut self, line: &[u8], signed: bool) -> Result<bool, ChunkedError> {
        let (content, crlf) = match line {
            [content @ .., b'\r', b'\n'] => (content, true),
            [content @ .., b'\n'] => (content, false),
            _ => return Err(ChunkedError::MalformedTrailer),
        };
        let signature = content.strip_prefix(SIGNATURE).filter(|_| signed && crlf);
        match (self.stage, content, signature) {
            (Stage::Start, b"", _) if crlf && signed => Err(ChunkedError::TrailerSignature),
            (Stage::Start | Stage::End, b"", _) if crlf => Ok(true),
            (Stage::Gap, b"", _) if crlf => {
                self.stage = if signed { Stage::Signature } else { Stage::End };
                Ok(false)
            }
            (Stage::Start | Stage::Signature, _, Some(signature)) => {
                // An invalid signature never verifies.
                self.signature = str::from_utf8(signature).ok().and_then(parse_signature);
                self.stage = Stage::End;
                Ok(false)
            }
            (Stage::Start, [_, ..], None) => {
                self.take(content)?;
                if !crlf {
                    self.stage = Stage::Gap;
                }
                Ok(false)
            }
            _ => Err(ChunkedError::MalformedTrailer),
        }
    }

    /// Verifies the trailers and returns them.
    pub(super) fn finish(self, chain: Option<&ChunkChain>) -> Result<HeaderMap, ChunkedError> {
        if chain.is_some_and(|chain| !chain.verify_trailers(&self.text, self.signature.as_ref())) {
            return Err(ChunkedError::TrailerSignature);
        }
        let mut trailers = HeaderMap::new();
        let Some((algorithm, hasher)) = self.announced else { return Ok(trailers) };
        let (value, expected) = self.found.ok_or(ChunkedError::MalformedTrailer)?;
        if hasher.finish() != expected {
            return Err(ChunkedError::BadDigest);
        }
        trailers.insert(HeaderName::from_static(algorithm.header()), value);
        Ok(trailers)
    }

    /// Processes a trailer.
    fn take(&mut self, content: &[u8]) -> Result<(), ChunkedError> {
        let malformed = ChunkedError::MalformedTrailer;
        let (name, value) = str::from_utf8(content)
            .ok()
            .and_then(|content| content.split_once(':'))
            .ok_or(malformed)?;
        let algorithm = ChecksumAlgorithm::of_header(name);
        let announced = self.announced.as_ref().map(|(algorithm, _)| *algorithm);
        let Some(algorithm) = algorithm.filter(|algorithm| announced == Some(*algorithm)) else {
            return Err(ChunkedError::UnannouncedTrailer);
        };
        let value = value.trim_matches([' ', '\t']);
        let expected = algorithm.parse(value).ok_or(malformed)?;
        let value_as_header = HeaderValue::from_str(value).map_err(|_| malformed)?;
        if self.found.replace((value_as_header, expected)).is_some() {
            return Err(malformed);
        }
        self.text = format!("{}:{value}\n", algorithm.header()).into_bytes();
        Ok(())
    }
}
