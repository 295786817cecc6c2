//! Bodies on their way through: frame by frame, and not for ever.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::answers::BoxError;

/// A body that fails when nothing of it arrives for a time while it is waited for.
/// Time in which nobody asks for more does not count: that is the reader's.
pub(crate) struct Watched<B> {
    body: Pin<Box<B>>,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    progress: Progress,
}

/// When a body last moved. A clone tells of the same body.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<Moved>>);

#[derive(Clone, Copy, Default)]
pub(crate) struct Moved {
    /// When something of it last arrived.
    pub(crate) at: Option<Instant>,
    /// Whether it is waited for.
    pub(crate) awaited: bool,
    /// Whether it did not arrive in time.
    pub(crate) stalled: bool,
}

impl Progress {
    pub(crate) fn get(&self) -> Moved {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, moved: Moved) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = moved;
    }
}

impl<B> Watched<B> {
    pub(crate) fn new(body: B, patience: Duration) -> Self {
        Self { body: Box::pin(body), patience, waiting: None, progress: Progress::default() }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = self.body.as_mut().poll_frame(cx) {
            self.waiting = None;
            let at = Some(Instant::now());
            self.progress.set(Moved { at, awaited: false, stalled: false });
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Self { patience, waiting, progress, .. } = &mut *self;
        let waiting = waiting.get_or_insert_with(|| {
            progress.set(Moved { awaited: true, ..progress.get() });
            Box::pin(sleep(*patience))
        });
        ready!(waiting.as_mut().poll(cx));
        progress.set(Moved { at: None, awaited: false, stalled: true });
        Poll::Ready(Some(Err("nothing arrived for too long".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
