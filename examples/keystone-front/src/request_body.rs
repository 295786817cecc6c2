//! Timeouts for bodies that the front reads from a client or from Keystone.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::responses::BoxError;

/// A body that fails if the next frame takes too long, or if it arrives more slowly than its
/// `MinRate`.
///
/// Only the time counts in which the reader waits for a frame.
pub struct TimedBody<B> {
    body: Pin<Box<B>>,
    timeout: Duration,
    min_rate: Option<MinRate>,
    /// How long the reader waited for all frames so far.
    waited: Duration,
    waiting: Option<Waiting>,
    progress: Progress,
}

/// A reader that waits for a frame.
struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

/// The progress of a body. Clones share it.
#[derive(Clone, Default)]
pub struct Progress(Arc<Mutex<State>>);

#[derive(Clone, Copy, Default)]
pub struct State {
    /// When the last frame arrived.
    pub last_frame: Option<Instant>,
    /// Whether a reader waits for the next frame.
    pub is_awaited: bool,
    /// Whether a timeout occurred.
    pub is_stalled: bool,
}

impl Progress {
    pub fn get(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl<B: Body> TimedBody<B> {
    /// A body with a timeout for each frame.
    pub fn new(body: B, timeout: Duration) -> Self {
        let (body, progress) = (Box::pin(body), Progress::default());
        Self { body, timeout, min_rate: None, waited: Duration::ZERO, waiting: None, progress }
    }

    /// Adds the minimum rate for the body's size.
    pub fn with_min_rate(mut self) -> Self {
        self.min_rate = Some(MinRate::new(self.body.size_hint().exact()));
        self
    }

    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// How long the next frame may take.
    fn time_left(&self) -> Duration {
        let left = self.min_rate.as_ref().map(|rate| rate.limit().saturating_sub(self.waited));
        left.map_or(self.timeout, |left| left.min(self.timeout))
    }
}

impl<B> Body for TimedBody<B>
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
            let Self { min_rate, waited, waiting, progress, .. } = &mut *self;
            if let Some(Waiting { since, .. }) = waiting.take() {
                *waited += since.elapsed();
            }
            if let (Some(rate), Some(Ok(frame))) = (min_rate, &frame) {
                rate.count(frame.data_ref().map_or(0, |data| data.len() as u64), *waited);
            }
            let last_frame = Some(Instant::now());
            progress.set(State { last_frame, is_awaited: false, is_stalled: false });
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let time_left = self.time_left();
        let Self { waiting, progress, .. } = &mut *self;
        let waiting = waiting.get_or_insert_with(|| {
            progress.set(State { is_awaited: true, ..progress.get() });
            Waiting { since: Instant::now(), end: Box::pin(sleep(time_left)) }
        });
        ready!(waiting.end.as_mut().poll(cx));
        progress.set(State { last_frame: None, is_awaited: false, is_stalled: true });
        Poll::Ready(Some(Err("the body arrives too slowly".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The maximum size of a small body: the default limit of Keystone.
const MAX_SMALL: u64 = 112 << 10;

/// How long the front waits for a small body in total.
const SMALL_TIMEOUT: Duration = Duration::from_mins(1);

/// A large body must bring at least [`MIN_BYTES`] in each such period.
const WINDOW: Duration = Duration::from_secs(30);

/// 1 KiB for each second of [`WINDOW`].
const MIN_BYTES: u64 = 30 << 10;

/// The minimum rate of one body, measured in time spent waiting for it.
///
/// A body of unknown size counts as small until more than [`MAX_SMALL`] bytes have arrived.
#[derive(Debug)]
struct MinRate {
    received: u64,
    /// For a large body: (second, bytes that arrived in it), newest last. Only as many as make up
    /// [`MIN_BYTES`]. Empty for a small body.
    newest: VecDeque<(u64, u64)>,
}

impl MinRate {
    fn new(size: Option<u64>) -> Self {
        let mut rate = Self { received: 0, newest: VecDeque::new() };
        if size.is_some_and(|size| size > MAX_SMALL) {
            rate.newest.push_back((0, MIN_BYTES));
        }
        rate
    }

    /// Counts bytes that arrived after this total waiting time.
    fn count(&mut self, bytes: u64, waited: Duration) {
        self.received = self.received.saturating_add(bytes);
        let second = waited.as_secs() + 1;
        match self.newest.back_mut() {
            None if self.received <= MAX_SMALL => return,
            // The body becomes a large one, with a new window.
            None => self.newest.push_back((second, MIN_BYTES)),
            Some((last, count)) if *last == second => *count += bytes,
            Some(_) => self.newest.push_back((second, bytes)),
        }
        let mut sum: u64 = self.newest.iter().map(|(_, bytes)| bytes).sum();
        while let Some((_, oldest)) = self.newest.front()
            && sum - oldest >= MIN_BYTES
        {
            sum -= oldest;
            self.newest.pop_front();
        }
    }

    /// The total waiting time at which the body fails if no more bytes arrive.
    fn limit(&self) -> Duration {
        let oldest = self.newest.front();
        oldest.map_or(SMALL_TIMEOUT, |(second, _)| Duration::from_secs(*second) + WINDOW)
    }
}
