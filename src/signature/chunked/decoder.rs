//! [`ChunkDecoder`]: from chunks to the payload.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    chain::ChunkChain,
    head::{self, ChunkHead, ChunkedError},
    trailers::Trailers,
};
use crate::signature::{
    checksum::{Checksum, Hasher},
    signing_key::SigningKey,
};

/// The longest line of a trailer, in bytes, with its ending. The longest valid one, of a
/// SHA-512, has 112 bytes.
const LONGEST_TRAILER: usize = 256;

/// The end of a line.
const CRLF: &[u8] = b"\r\n";

/// The number of chunks that every payload may have, however short they are.
const CHUNKS: u64 = 1_024;

/// The number of bytes of the payload that allow one more chunk.
const BYTES_PER_CHUNK: u64 = 512;

/// Decodes a payload from its chunks.
///
/// Takes bytes as they arrive, in any pieces, and returns the payload as slices of them. It
/// copies nothing and keeps at most one piece. The last piece of a signed chunk is returned
/// after the chunk's signature has been verified. **The last piece of the payload is returned
/// only by [`finish`](Self::finish)**, after everything has been verified: the last chunk, the
/// trailers, their signature, their checksum, and that nothing follows.
///
/// A payload has at most one trailer, a checksum: CRC-32, CRC-32C, CRC-64/NVME, SHA-1, SHA-256
/// or SHA-512.
///
/// S3 requires all chunks but the last to have 8 KiB or more, and not every client complies.
/// Here a payload may have 1,024 chunks of any size, and one more for each 512 bytes. That
/// bounds the cost per byte.
///
/// ```
/// use bytes::Bytes;
/// use tower_credentials::signature::ChunkDecoder;
///
/// let mut decoder = ChunkDecoder::unsigned(9).with_trailers("x-amz-checksum-crc32")?;
/// let mut body = Bytes::from("4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n");
/// assert_eq!(decoder.decode(&mut body)?.unwrap(), "1234");
/// assert_eq!(decoder.decode(&mut body)?, None);
///
/// let (last, trailers) = decoder.finish()?;
/// assert_eq!(last, "56789");
/// assert_eq!(trailers["x-amz-checksum-crc32"], "y/Q5Jg==");
/// # Ok::<(), tower_credentials::signature::ChunkedError>(())
/// ```
pub struct ChunkDecoder {
    state: State,
    /// The start of the current line.
    line: Vec<u8>,
    chain: Option<Box<ChunkChain>>,
    trailers: Option<Trailers>,
    /// The checksum in the head of the request, and the hasher that computes it.
    checksum: Option<(Hasher, Checksum)>,
    /// The number of bytes of the payload that have not arrived yet.
    left: u64,
    /// The number of chunks that may still follow.
    chunks: u64,
    /// The last piece of the payload.
    last: Bytes,
}

#[derive(Clone, Copy)]
enum State {
    Data {
        left: u64,
        signature: [u8; 32],
    },
    /// The line end after a chunk's data.
    DataEnd,
    End,
    Failed(ChunkedError),
    Head,
    /// The lines after the last chunk.
    Tail,
}

impl ChunkDecoder {
    /// Creates a decoder for `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, and with
    /// [trailers](Self::with_trailers) for `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`.
    ///
    /// The head of the request was signed with `key`. It contains `time`
    /// (`20260102T030405Z`), `scope`, the signature `seed` and, as
    /// `x-amz-decoded-content-length`, the `length` in bytes.
    #[must_use]
    pub fn signed(
        key: Arc<SigningKey>,
        time: &str,
        scope: &str,
        seed: &[u8; 32],
        length: u64,
    ) -> Self {
        let chain = ChunkChain::new(key, time, scope, seed);
        Self::unsigned(length).with_chain(Some(Box::new(chain)))
    }

    /// Creates a decoder for `STREAMING-UNSIGNED-PAYLOAD-TRAILER`, with
    /// [trailers](Self::with_trailers). `length` is the same as for [`signed`](Self::signed).
    #[must_use]
    pub fn unsigned(length: u64) -> Self {
        Self {
            state: State::Head,
            line: Vec::new(),
            chain: None,
            trailers: None,
            checksum: None,
            left: length,
            chunks: CHUNKS.saturating_add(length / BYTES_PER_CHUNK),
            last: Bytes::new(),
        }
    }

    /// Expects trailers after the last chunk. `announced` is the request's `x-amz-trailer`,
    /// and may be empty.
    ///
    /// # Errors
    ///
    /// [`ChunkedError::UnsupportedTrailer`] if a name is not that of a known checksum, or if
    /// there is more than one name.
    pub fn with_trailers(mut self, announced: &str) -> Result<Self, ChunkedError> {
        self.trailers = Some(Trailers::announced(announced)?);
        Ok(self)
    }

    /// Sets the chain of signatures that the chunks continue.
    pub(crate) fn with_chain(self, chain: Option<Box<ChunkChain>>) -> Self {
        Self { chain, ..self }
    }

    /// Also checks the payload against a checksum in the head of the request.
    pub(crate) fn with_checksum(mut self, checksum: Option<Checksum>) -> Self {
        self.checksum = checksum.map(|expected| (expected.hasher(), expected));
        self
    }

    /// Returns the number of bytes of the payload that have not been returned yet.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.left + self.last.len() as u64
    }

    /// Returns the next piece of the payload, removed from the front of `input`. Returns `None`
    /// once `input` is empty.
    ///
    /// # Errors
    ///
    /// [`ChunkedError`] as soon as the body is known to be invalid. Every later call returns the
    /// same error.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkedError> {
        let decoded = self.next_piece(input);
        if let Err(error) = decoded {
            self.state = State::Failed(error);
        }
        decoded
    }

    /// Returns the last piece of the payload, and the trailers. The piece is empty only if the
    /// payload is. Call this when the body has ended.
    ///
    /// # Errors
    ///
    /// [`ChunkedError::Truncated`] if the body is incomplete,
    /// [`ChunkedError::BadDigest`] or [`ChunkedError::TrailerSignature`] if a checksum or the
    /// trailers do not match, and the error that [`decode`](Self::decode) has returned.
    pub fn finish(self) -> Result<(Bytes, HeaderMap), ChunkedError> {
        match self.state {
            State::End => {}
            State::Failed(error) => return Err(error),
            _ => return Err(ChunkedError::Truncated),
        }
        if self.checksum.is_some_and(|(hasher, expected)| hasher.finish() != expected) {
            return Err(ChunkedError::BadDigest);
        }
        let trailers = self.trailers.map(|trailers| trailers.finish(self.chain.as_deref()));
        Ok((self.last, trailers.transpose()?.unwrap_or_default()))
    }

    fn next_piece(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkedError> {
        while !input.is_empty() {
            match self.state {
                State::Data { left, signature } => {
                    if let Some(piece) = self.data(input, left, &signature)? {
                        return Ok(Some(piece));
                    }
                }
                State::DataEnd | State::Head | State::Tail => self.line(input)?,
                State::End => return Err(ChunkedError::Malformed),
                State::Failed(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Returns the next piece of a chunk's data.
    fn data(
        &mut self,
        input: &mut Bytes,
        left: u64,
        signature: &[u8; 32],
    ) -> Result<Option<Bytes>, ChunkedError> {
        let size = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let piece = input.split_to(size);
        let left = left - size as u64;
        self.left -= size as u64;
        if let Some(trailers) = &mut self.trailers {
            trailers.update(&piece);
        }
        if let Some((hasher, _)) = &mut self.checksum {
            hasher.update(&piece);
        }
        if let Some(chain) = &mut self.chain {
            chain.update(&piece);
            if left == 0 && !chain.verify_chunk(signature) {
                return Err(ChunkedError::ChunkSignature);
            }
        }
        self.state = match left {
            0 => State::DataEnd,
            left => State::Data { left, signature: *signature },
        };
        if self.left > 0 {
            return Ok(Some(piece));
        }
        self.last = piece;
        Ok(None)
    }

    /// Reads up to the end of a line, and processes the line if it is complete.
    fn line(&mut self, input: &mut Bytes) -> Result<(), ChunkedError> {
        let (longest, error) = match self.state {
            State::Head => (head::LONGEST, ChunkedError::Malformed),
            State::Tail if self.trailers.is_some() => {
                (LONGEST_TRAILER, ChunkedError::MalformedTrailer)
            }
            _ => (CRLF.len(), ChunkedError::Malformed),
        };
        let room = longest - self.line.len();
        let end = input.iter().take(room).position(|b| *b == b'\n');
        let part = input.split_to(end.map_or(input.len().min(room), |end| end + 1));
        self.line.extend_from_slice(&part);
        if end.is_none() {
            return if self.line.len() < longest { Ok(()) } else { Err(error) };
        }
        match (self.state, &mut self.trailers) {
            (State::Head, _) => self.head()?,
            (State::Tail, Some(trailers)) => {
                if trailers.line(&self.line, self.chain.is_some())? {
                    self.state = State::End;
                }
            }
            (State::Tail, None) if self.line == CRLF => self.state = State::End,
            (State::DataEnd, _) if self.line == CRLF => self.state = State::Head,
            _ => return Err(error),
        }
        self.line.clear();
        Ok(())
    }

    /// Processes the head of a chunk.
    fn head(&mut self) -> Result<(), ChunkedError> {
        let ChunkHead { size, signature } = ChunkHead::parse(&self.line, self.chain.is_some())?;
        if size > 0 {
            if size > self.left {
                return Err(ChunkedError::TooLong);
            }
            self.chunks = self.chunks.checked_sub(1).ok_or(ChunkedError::ChunkTooSmall)?;
            self.state = State::Data { left: size, signature };
            return Ok(());
        }
        if self.chain.as_mut().is_some_and(|chain| !chain.verify_chunk(&signature)) {
            return Err(ChunkedError::ChunkSignature);
        }
        if self.left > 0 {
            return Err(ChunkedError::TooShort);
        }
        self.state = State::Tail;
        Ok(())
    }
}

/// Shows nothing that the client sent: everybody who has a signature can use it.
impl fmt::Debug for ChunkDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut this = f.debug_struct("ChunkDecoder");
        this.field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
