//! The file of a form.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::verdict::Verdict;
use crate::s3::{form::FormFile, payload_error::PayloadError};

#[derive(Debug)]
pub(super) struct File {
    /// Gone when the body is over.
    file: Option<Box<FormFile>>,
    verdict: Verdict,
}

impl File {
    pub(super) fn new(file: FormFile) -> Self {
        Self { file: Some(Box::new(file)), verdict: Verdict::default() }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        let Some(file) = &mut self.file else { return Poll::Ready(None) };
        let polled = ready!(file.poll_data(cx));
        if !matches!(polled, Ok(Some(_))) {
            self.file = None;
        }
        let polled = polled.map_err(|error| self.verdict.hear(error));
        Poll::Ready(polled.transpose().map(|data| data.map(Frame::data)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.file.is_none()
    }

    /// How long the file is, nothing says beforehand.
    pub(super) fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_upper(self.file.as_ref().map_or(0, |file| file.room()));
        hint
    }
}
