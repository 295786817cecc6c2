//! Payloads in chunks: the content encoding `aws-chunked` of S3.
//!
//! Sources: AWS, "Signature calculations for the Authorization header: transferring
//! payload in multiple chunks" and "...: including trailing headers" (Amazon S3 API
//! Reference); what the SDKs of AWS and MinIO send.

mod chain;
mod error;
mod head;
mod trailers;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;

pub use self::error::ChunkedError;
use self::{chain::Chain, head::ChunkHead, trailers::Trailers};
use super::{
    checksum::{Checksum, Hasher},
    v4::SigningKey,
};

/// The longest line of a trailer, with its ending; the longest that is taken is that
/// of a SHA-512, with 112 bytes.
const LONGEST_TRAILER: usize = 256;

/// What ends a line.
const CRLF: &[u8] = b"\r\n";

/// How many chunks a payload may have, however short they are.
const CHUNKS: u64 = 1_024;

/// How many bytes of the payload make room for one chunk more.
const BYTES_PER_CHUNK: u64 = 512;

/// Takes a payload out of its chunks.
///
/// Bytes go in as they arrive, in any pieces, and the payload comes out as slices of
/// them: nothing is copied, and at most one piece is held. A signed chunk's last
/// piece comes out when the chunk's signature has proved right, and **the payload's
/// last piece only from [`finish`](Self::finish)**, when everything has: the last
/// chunk, the trailers, their signature, the checksum in them, and that nothing
/// follows.
///
/// Trailers are at most one, and a checksum of the payload: CRC-32, CRC-32C,
/// CRC-64/NVME, SHA-1, SHA-256 or SHA-512.
///
/// S3 wants all chunks but the last to be of 8 KiB or more, which not every client
/// obeys. Here a payload may have 1,024 chunks of any size, and one more for each 512
/// bytes, so that what a byte costs is bounded.
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
    /// The line that is being read.
    line: Vec<u8>,
    chain: Option<Chain>,
    trailers: Option<Trailers>,
    /// What the payload must come to, by the head.
    checksum: Option<(Hasher, Checksum)>,
    /// How many bytes of the payload have not come yet.
    left: u64,
    /// How many chunks may still come.
    chunks: u64,
    /// The payload's last piece.
    last: Bytes,
}

#[derive(Clone, Copy)]
enum State {
    Data {
        left: u64,
        signature: [u8; 32],
    },
    /// What ends a chunk's data.
    DataEnd,
    End,
    Failed(ChunkedError),
    Head,
    /// What follows the last chunk.
    Tail,
}

impl ChunkDecoder {
    /// For `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, and with
    /// [trailers](Self::with_trailers) for its `-TRAILER`.
    ///
    /// The key is the one that the head of the request was signed with; `time`
    /// (`20260102T030405Z`), `scope` and the signature `seed` are those of the head,
    /// and `length` is its `x-amz-decoded-content-length`, in bytes.
    #[must_use]
    pub fn signed(
        key: Arc<SigningKey>,
        time: &str,
        scope: &str,
        seed: &[u8; 32],
        length: u64,
    ) -> Self {
        Self { chain: Some(Chain::new(key, time, scope, seed)), ..Self::unsigned(length) }
    }

    /// For `STREAMING-UNSIGNED-PAYLOAD-TRAILER`, with
    /// [trailers](Self::with_trailers). `length` is as for [`signed`](Self::signed).
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

    /// Lets trailers follow the last chunk: those that the head of the request
    /// announces in `x-amz-trailer`, which may be empty.
    ///
    /// # Errors
    ///
    /// [`ChunkedError::UnsupportedTrailer`] if a name is not that of a known checksum,
    /// or there is more than one.
    pub fn with_trailers(mut self, announced: &str) -> Result<Self, ChunkedError> {
        self.trailers = Some(Trailers::announced(announced)?);
        Ok(self)
    }

    /// Also checks the payload against this, which its head told.
    pub(crate) fn with_checksum(mut self, checksum: Option<Checksum>) -> Self {
        self.checksum = checksum.map(|expected| (expected.hasher(), expected));
        self
    }

    /// How many bytes of the payload have not been handed out.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.left + self.last.len() as u64
    }

    /// The payload's next piece, taken off the front of `input`; `None` when nothing of
    /// `input` is left.
    ///
    /// # Errors
    ///
    /// [`ChunkedError`], as soon as it is sure; whatever is asked afterwards, the answer
    /// is the same error.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkedError> {
        let decoded = self.next_piece(input);
        if let Err(error) = decoded {
            self.state = State::Failed(error);
        }
        decoded
    }

    /// The payload's last piece, which is empty only if all of it is, and the trailers.
    /// To be called when the body has ended.
    ///
    /// # Errors
    ///
    /// [`ChunkedError::Truncated`] if that was too early, and what
    /// [`decode`](Self::decode) has said.
    pub fn finish(self) -> Result<(Bytes, HeaderMap), ChunkedError> {
        match self.state {
            State::End => {}
            State::Failed(error) => return Err(error),
            _ => return Err(ChunkedError::Truncated),
        }
        if self.checksum.is_some_and(|(hasher, expected)| hasher.finish() != expected) {
            return Err(ChunkedError::BadDigest);
        }
        let trailers = self.trailers.map(|trailers| trailers.finish(self.chain.as_ref()));
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

    /// The next piece of a chunk's data.
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

    /// Reads up to the end of a line, and what it says if it is whole.
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

    /// Reads a chunk's head out of the line.
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

/// Tells nothing that was sent: a signature works for whoever has it.
impl fmt::Debug for ChunkDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut this = f.debug_struct("ChunkDecoder");
        this.field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
