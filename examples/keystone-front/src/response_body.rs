//! A time limit for clients that read Keystone's responses slowly.
//!
//! While a client reads more slowly than Keystone writes, it blocks a worker of Keystone. Nothing
//! polls the body in that time, so a task checks the limit.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep},
};

use crate::responses::BoxError;

/// How long a client may block Keystone, in addition to one second for each [`MIN_RATE`] bytes that
/// it received.
const BASE_LIMIT: Duration = Duration::from_secs(30);

/// Bytes per second.
const MIN_RATE: u64 = 1 << 10;

/// A body that is dropped if its reader is too slow, and then fails.
///
/// Only the time counts in which the reader does not poll.
/// [`TimedBody`](crate::request_body::TimedBody) limits the time that Keystone takes.
pub struct ReadLimited<B> {
    shared: Arc<Mutex<Shared<B>>>,
    timer: Option<AbortHandle>,
}

struct Shared<B> {
    /// `None` after the reader was too slow.
    body: Option<Pin<Box<B>>>,
    sent: u64,
    /// How long the reader took for all frames so far.
    taken: Duration,
    /// When the reader got the last frame; `None` while it waits for the next one.
    since: Option<Instant>,
}

impl<B> Shared<B> {
    /// How much longer the reader may take.
    fn time_left(&self) -> Duration {
        let taken = self.taken + self.since.map_or(Duration::ZERO, |since| since.elapsed());
        (BASE_LIMIT + Duration::from_secs(self.sent / MIN_RATE)).saturating_sub(taken)
    }
}

impl<B: Body + Send + 'static> ReadLimited<B> {
    pub fn new(body: B) -> Self {
        let body = Some(Box::pin(body));
        let shared = Shared { body, sent: 0, taken: Duration::ZERO, since: None };
        Self { shared: Arc::new(Mutex::new(shared)), timer: None }
    }
}

impl<B> Body for ReadLimited<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { shared, timer } = &mut *self;
        let mut state = lock(shared);
        let state = &mut *state;
        state.taken += state.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        let Some(body) = &mut state.body else {
            return Poll::Ready(Some(Err("the client reads too slowly".into())));
        };
        let frame = ready!(body.as_mut().poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && !body.is_end_stream()
        {
            state.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
            state.since = Some(Instant::now());
            timer.get_or_insert_with(|| {
                tokio::spawn(drop_when_too_slow(Arc::clone(shared))).abort_handle()
            });
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.shared).body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.shared).body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B> Drop for ReadLimited<B> {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.abort();
        }
    }
}

/// Drops the body, and with it the connection to Keystone, when the reader's time is over.
async fn drop_when_too_slow<B>(shared: Arc<Mutex<Shared<B>>>) {
    loop {
        let time_left = lock(&shared).time_left();
        // At least a second: a reader without time left that waits for Keystone is not late.
        sleep(time_left.max(Duration::from_secs(1))).await;
        let mut state = lock(&shared);
        if state.since.is_some() && state.time_left().is_zero() {
            state.body = None;
            tracing::info!("closed a response: the client reads too slowly");
            return;
        }
    }
}

fn lock<B>(shared: &Mutex<Shared<B>>) -> MutexGuard<'_, Shared<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
