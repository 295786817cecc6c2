//! A body with a known hash or checksum.

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::{
    s3::payload_error::{PayloadError, PayloadErrorKind, Verdict},
    signature::checksum::{Checksum, Hasher},
};

/// What a payload must match.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// `x-amz-content-sha256`, if that is a hash.
    pub(crate) sha256: Option<[u8; 32]>,
    /// `x-amz-checksum-...`.
    pub(crate) checksum: Option<Checksum>,
    /// `content-length`, in bytes.
    pub(crate) length: Option<u64>,
}

impl Expected {
    /// Returns whether every payload matches. The HTTP server checks a length alone.
    pub(super) fn is_nothing(&self) -> bool {
        self.sha256.is_none() && self.checksum.is_none()
    }
}

#[pin_project]
#[derive(Debug)]
pub(super) struct Checked<B> {
    #[pin]
    body: B,
    check: Box<Check>,
    state: State,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The payload is complete and matches, and no data may follow.
    Matched,
    Over,
    Reading,
}

#[derive(Debug)]
struct Check {
    /// Each with the error of a mismatch.
    sums: [Option<(Hasher, Checksum, PayloadErrorKind)>; 2],
    length: Option<u64>,
    seen: u64,
}

impl<B: Body> Checked<B> {
    pub(super) fn new(body: B, expected: Expected) -> Result<Self, PayloadErrorKind> {
        let sum = |expected: Checksum, kind| (expected.hasher(), expected, kind);
        let sha256 = expected.sha256.map(Checksum::of_sha256);
        let mut check = Box::new(Check {
            sums: [
                sha256.map(|expected| sum(expected, PayloadErrorKind::HashMismatch)),
                expected.checksum.map(|expected| sum(expected, PayloadErrorKind::BadDigest)),
            ],
            length: expected.length,
            seen: 0,
        });
        let empty = check.ends(&body);
        if empty {
            check.check()?;
        }
        let state = if empty { State::Matched } else { State::Reading };
        Ok(Self { body, check, state, verdict: Verdict::default() })
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }
}

impl<B> Body for Checked<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Data = Bytes;
    type Error = PayloadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        let mut this = self.project();
        let result = loop {
            if *this.state == State::Over {
                return Poll::Ready(None);
            }
            match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if data.is_empty() {
                        continue;
                    }
                    match this.check.take(&data, &*this.body, *this.state) {
                        Ok(state) => {
                            *this.state = state;
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        Err(kind) => break Err(this.verdict.refuse(kind)),
                    }
                }
                Some(Err(error)) => break Err(PayloadError::transport(error)),
                None if *this.state == State::Matched => break Ok(()),
                None => break this.check.check().map_err(|kind| this.verdict.refuse(kind)),
            }
        };
        *this.state = State::Over;
        Poll::Ready(result.err().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Over => true,
            State::Matched => self.body.is_end_stream(),
            State::Reading => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (self.state, self.check.length) {
            (State::Over, _) => SizeHint::with_exact(0),
            (_, Some(length)) => SizeHint::with_exact(length - self.check.seen),
            (_, None) => self.body.size_hint(),
        }
    }
}

impl Check {
    /// Hashes the next data. Checks the payload if it is complete.
    fn take<B: Body>(
        &mut self,
        data: &[u8],
        body: &B,
        state: State,
    ) -> Result<State, PayloadErrorKind> {
        let seen = self.seen.saturating_add(data.len() as u64);
        if state == State::Matched || self.length.is_some_and(|length| seen > length) {
            return Err(PayloadErrorKind::Length);
        }
        self.seen = seen;
        for (hasher, ..) in self.sums.iter_mut().flatten() {
            hasher.update(data);
        }
        if !self.ends(body) {
            return Ok(State::Reading);
        }
        self.check()?;
        Ok(State::Matched)
    }

    /// Returns whether the payload is known to be complete.
    fn ends<B: Body>(&self, body: &B) -> bool {
        self.length == Some(self.seen) || body.is_end_stream()
    }

    /// Checks the complete payload.
    fn check(&mut self) -> Result<(), PayloadErrorKind> {
        if self.length.is_some_and(|length| length != self.seen) {
            return Err(PayloadErrorKind::Length);
        }
        for (hasher, expected, kind) in self.sums.iter_mut().filter_map(Option::take) {
            if hasher.finish() != expected {
                return Err(kind);
            }
        }
        Ok(())
    }
}
