//! A body of which hash or checksum are known.

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::verdict::Verdict;
use crate::{
    s3::payload_error::{PayloadError, PayloadErrorKind},
    signature::checksum::{Checksum, Hasher},
};

/// What a payload must come to.
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
    /// Whether any payload would do. A length alone is checked by whoever reads it off
    /// the wire.
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
    Over,
    /// The payload is whole and right, and nothing may follow.
    Proved,
    Reading,
}

#[derive(Debug)]
struct Check {
    /// Each with the error that is due if it is another one.
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
            check.prove()?;
        }
        let state = if empty { State::Proved } else { State::Reading };
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
                None if *this.state == State::Proved => break Ok(()),
                None => break this.check.prove().map_err(|kind| this.verdict.refuse(kind)),
            }
        };
        *this.state = State::Over;
        Poll::Ready(result.err().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Over => true,
            State::Proved => self.body.is_end_stream(),
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
    /// Takes the next data; whether that was all, and right.
    fn take<B: Body>(
        &mut self,
        data: &[u8],
        body: &B,
        state: State,
    ) -> Result<State, PayloadErrorKind> {
        let seen = self.seen.saturating_add(data.len() as u64);
        if state == State::Proved || self.length.is_some_and(|length| seen > length) {
            return Err(PayloadErrorKind::Length);
        }
        self.seen = seen;
        for (hasher, ..) in self.sums.iter_mut().flatten() {
            hasher.update(data);
        }
        if !self.ends(body) {
            return Ok(State::Reading);
        }
        self.prove()?;
        Ok(State::Proved)
    }

    /// Whether the payload is known to be whole.
    fn ends<B: Body>(&self, body: &B) -> bool {
        self.length == Some(self.seen) || body.is_end_stream()
    }

    /// Checks what has come, which is all.
    fn prove(&mut self) -> Result<(), PayloadErrorKind> {
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
