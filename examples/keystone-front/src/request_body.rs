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

use crate::{answers::BoxError, pace::Pace};

/// A body that fails when the next frame takes too long, or if it has a [`Pace`], when the
/// body as a whole does.
///
/// Only time in which the reader waits for the body counts. Other time is the reader's.
pub struct Watched<B> {
    body: Pin<Box<B>>,
    patience: Duration,
    pace: Option<Pace>,
    /// How long the frames so far were waited for.
    waited: Duration,
    waiting: Option<Waiting>,
    progress: Progress,
}

/// A reader that waits for a frame.
struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

/// When a body last moved. A clone tells of the same body.
#[derive(Clone, Default)]
pub struct Progress(Arc<Mutex<Moved>>);

#[derive(Clone, Copy, Default)]
pub struct Moved {
    /// When something of it last arrived.
    pub at: Option<Instant>,
    /// Whether it is waited for.
    pub awaited: bool,
    /// Whether it did not arrive in time.
    pub stalled: bool,
}

impl Progress {
    pub fn get(&self) -> Moved {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, moved: Moved) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = moved;
    }
}

impl<B: Body> Watched<B> {
    /// A body that may pause for `patience` before each frame.
    pub fn new(body: B, patience: Duration) -> Self {
        let (body, progress) = (Box::pin(body), Progress::default());
        Self { body, patience, pace: None, waited: Duration::ZERO, waiting: None, progress }
    }

    /// The same, which also has to arrive at the pace for its size.
    pub fn paced(mut self) -> Self {
        self.pace = Some(Pace::new(self.body.size_hint().exact()));
        self
    }

    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// How long the next frame may take.
    fn time_left(&self) -> Duration {
        let left = self.pace.as_ref().map(|pace| pace.limit().saturating_sub(self.waited));
        left.map_or(self.patience, |left| left.min(self.patience))
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
            let Self { pace, waited, waiting, progress, .. } = &mut *self;
            if let Some(Waiting { since, .. }) = waiting.take() {
                *waited += since.elapsed();
            }
            if let (Some(pace), Some(Ok(frame))) = (pace, &frame) {
                pace.count(frame.data_ref().map_or(0, |data| data.len() as u64), *waited);
            }
            let at = Some(Instant::now());
            progress.set(Moved { at, awaited: false, stalled: false });
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let time_left = self.time_left();
        let Self { waiting, progress, .. } = &mut *self;
        let waiting = waiting.get_or_insert_with(|| {
            progress.set(Moved { awaited: true, ..progress.get() });
            Waiting { since: Instant::now(), end: Box::pin(sleep(time_left)) }
        });
        ready!(waiting.end.as_mut().poll(cx));
        progress.set(Moved { at: None, awaited: false, stalled: true });
        Poll::Ready(Some(Err("the body arrives too slowly".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
