//! [`Held`] and [`Late`]: responses that are sent after a pause.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Response;
use tokio::time::{Sleep, sleep};

/// A response, and how long it must wait.
#[derive(Debug)]
pub(crate) struct Held<B> {
    pub(crate) response: Response<B>,
    /// `None` for a response that is sent at once.
    pub(crate) pause: Option<Pause>,
}

/// How long a response waits, and its place among those that wait.
#[derive(Debug)]
pub(crate) struct Pause {
    length: Duration,
    place: Place,
}

/// How many responses wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<AtomicUsize>);

/// One of the responses that wait. Its place is free when it is dropped.
#[derive(Debug)]
struct Place(Waiting);

/// A response that waits. It holds nothing else of its request.
pub(crate) struct Late<B> {
    response: Option<Response<B>>,
    sleep: Pin<Box<Sleep>>,
    _place: Place,
}

impl<B> From<Response<B>> for Held<B> {
    fn from(response: Response<B>) -> Self {
        Self { response, pause: None }
    }
}

impl Pause {
    /// Starts the pause of a response.
    pub(crate) fn hold<B>(self, response: Response<B>) -> Late<B> {
        let sleep = Box::pin(sleep(self.length));
        Late { response: Some(response), sleep, _place: self.place }
    }
}

impl Waiting {
    /// Returns a pause, unless `most` responses wait already.
    pub(super) fn pause(&self, length: Duration, most: usize) -> Option<Pause> {
        let next = |waiting| (waiting < most).then_some(waiting + 1);
        self.0.fetch_update(Relaxed, Relaxed, next).ok()?;
        Some(Pause { length, place: Place(self.clone()) })
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

// The response is not pinned.
impl<B> Unpin for Late<B> {}

impl<B> Future for Late<B> {
    type Output = Response<B>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<B>> {
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(self.response.take().expect("polled after completion"))
    }
}

impl<B> fmt::Debug for Late<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late").finish_non_exhaustive()
    }
}
