//! Keystone's answer on its way to a client that may read it slowly.
//!
//! While a client reads slower than Keystone writes, Keystone's worker waits for the client. Nothing
//! polls a body in that time, so a task watches the clock.

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

use crate::answers::BoxError;

/// How long the client may keep Keystone waiting, beside one second for each [`RATE`] bytes that it
/// was sent.
const GRACE: Duration = Duration::from_secs(30);

/// Bytes in a second.
const RATE: u64 = 1 << 10;

/// A body that is dropped when its reader takes it too slowly, and then fails.
///
/// Only time counts in which the reader does not ask for more. The time that Keystone takes is
/// [`Watched`](crate::body::Watched)'s matter.
pub struct Returned<B> {
    answer: Arc<Mutex<Answer<B>>>,
    watch: Option<AbortHandle>,
}

struct Answer<B> {
    /// `None` once it was dropped because the reader was too slow.
    body: Option<Pin<Box<B>>>,
    sent: u64,
    /// How long the reader took for the frames so far.
    taken: Duration,
    /// Since when the reader has the last frame and does not ask for more.
    since: Option<Instant>,
}

impl<B> Answer<B> {
    /// How much longer the reader may take.
    fn time_left(&self) -> Duration {
        let taken = self.taken + self.since.map_or(Duration::ZERO, |since| since.elapsed());
        (GRACE + Duration::from_secs(self.sent / RATE)).saturating_sub(taken)
    }
}

impl<B: Body + Send + 'static> Returned<B> {
    pub fn new(body: B) -> Self {
        let body = Some(Box::pin(body));
        let answer = Answer { body, sent: 0, taken: Duration::ZERO, since: None };
        Self { answer: Arc::new(Mutex::new(answer)), watch: None }
    }
}

impl<B> Body for Returned<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { answer: shared, watch } = &mut *self;
        let mut answer = lock(shared);
        let answer = &mut *answer;
        answer.taken += answer.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        let Some(body) = &mut answer.body else {
            return Poll::Ready(Some(Err("the client reads too slowly".into())));
        };
        let frame = ready!(body.as_mut().poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && !body.is_end_stream()
        {
            answer.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
            answer.since = Some(Instant::now());
            watch.get_or_insert_with(|| {
                tokio::spawn(drop_when_too_slow(Arc::clone(shared))).abort_handle()
            });
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.answer).body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.answer).body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B> Drop for Returned<B> {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

/// Drops a body, and so the connection to Keystone, when its reader has taken too long.
async fn drop_when_too_slow<B>(answer: Arc<Mutex<Answer<B>>>) {
    loop {
        let time_left = lock(&answer).time_left();
        // A reader that asks for more may have used up its time, and is not late.
        sleep(time_left.max(Duration::from_secs(1))).await;
        let mut answer = lock(&answer);
        if answer.since.is_some() && answer.time_left().is_zero() {
            answer.body = None;
            tracing::info!("a client reads Keystone's answer too slowly");
            return;
        }
    }
}

fn lock<B>(answer: &Mutex<Answer<B>>) -> MutexGuard<'_, Answer<B>> {
    answer.lock().unwrap_or_else(PoisonError::into_inner)
}
