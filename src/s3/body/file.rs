//! The file of a form, with or without the rest of the form around it.

use std::{
    mem,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::s3::{
    form::FormFile,
    payload_error::{PayloadError, Verdict},
};

/// The longest piece, in bytes. `s3s` fails on a piece that is longer than 64 KiB and follows
/// one whose end looks like a boundary.
const PIECE: usize = 32 << 10;

#[derive(Debug)]
pub(super) struct File {
    /// `None` when the body has ended.
    rest: Option<Box<Rest>>,
    verdict: Verdict,
}

/// The part that has not been read yet.
#[derive(Debug)]
struct Rest {
    before: Bytes,
    file: FormFile,
    after: Bytes,
}

impl File {
    /// Creates a body of the file between two texts, which may be empty.
    pub(super) fn new(file: FormFile, before: Bytes, after: Bytes) -> Self {
        let rest = Some(Box::new(Rest { before, file, after }));
        Self { rest, verdict: Verdict::default() }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        if !rest.before.is_empty() {
            let piece = rest.before.split_to(rest.before.len().min(PIECE));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = match ready!(rest.file.poll_data(cx)) {
            Ok(None) => {
                let after = mem::take(&mut rest.after);
                self.rest = None;
                Ok(Some(after).filter(|after| !after.is_empty()))
            }
            Err(error) => {
                self.rest = None;
                Err(self.verdict.record(error))
            }
            Ok(Some(mut data)) => {
                if data.len() > PIECE {
                    rest.before = data.split_off(PIECE);
                }
                Ok(Some(data))
            }
        };
        Poll::Ready(polled.transpose().map(|data| data.map(Frame::data)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    /// The length of the file is not known beforehand.
    pub(super) fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_upper(self.rest.as_ref().map_or(0, |rest| {
            let around = (rest.before.len() + rest.after.len()) as u64;
            rest.file.room().saturating_add(around)
        }));
        hint
    }
}
