//! A body in chunks.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::{
    s3::payload_error::{PayloadError, Verdict},
    signature::ChunkDecoder,
};

#[pin_project]
pub(super) struct Chunked<B> {
    #[pin]
    body: B,
    /// The rest of the body's last frame.
    input: Bytes,
    /// `None` when the payload has ended.
    decoder: Option<Box<ChunkDecoder>>,
    trailers: Option<HeaderMap>,
    verdict: Verdict,
}

impl<B> Chunked<B> {
    pub(super) fn new(body: B, decoder: ChunkDecoder) -> Self {
        Self {
            body,
            input: Bytes::new(),
            decoder: Some(Box::new(decoder)),
            trailers: None,
            verdict: Verdict::default(),
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }
}

impl<B> fmt::Debug for Chunked<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunked").field("decoder", &self.decoder).finish_non_exhaustive()
    }
}

impl<B> Body for Chunked<B>
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
        let error = loop {
            let Some(decoder) = this.decoder.as_mut() else {
                return Poll::Ready(
                    this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
                );
            };
            match decoder.decode(this.input) {
                Ok(Some(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(None) => {}
                Err(error) => break this.verdict.refuse(error.into()),
            }
            match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => *this.input = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => break PayloadError::transport(error),
                None => match this.decoder.take().map(|decoder| decoder.finish()) {
                    Some(Ok((last, trailers))) => {
                        *this.trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
                        if !last.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(last))));
                        }
                    }
                    Some(Err(error)) => break this.verdict.refuse(error.into()),
                    None => {}
                },
            }
        };
        *this.decoder = None;
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.decoder.as_ref().map_or(0, |decoder| decoder.remaining()))
    }
}
