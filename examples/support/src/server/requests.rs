//! Counts the requests of a connection, to find out when it is idle.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Response;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::sleep;

/// How often a connection is examined in the time that it may be idle.
const LOOKS: u32 = 5;

/// Counts the requests of a connection. Clones share the counts.
#[derive(Clone, Default)]
pub(super) struct Requests(Arc<Counts>);

#[derive(Default)]
struct Counts {
    running: AtomicUsize,
    /// How many have begun or ended.
    changes: AtomicU64,
}

/// A running request. Dropping it ends the request.
pub(super) struct Running(Requests);

impl Requests {
    pub(super) fn begin(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        self.0.changes.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    /// Waits until no request has run for this long, or a little longer. Requests only count, so
    /// that none sets a timer.
    pub(super) async fn idle_for(&self, time: Duration) {
        let (mut seen, mut idle) = (0, 0);
        while idle < LOOKS {
            sleep(time / LOOKS).await;
            let changes = self.0.changes.load(Ordering::Relaxed);
            let is_idle = changes == seen && self.0.running.load(Ordering::Relaxed) == 0;
            idle = if is_idle { idle + 1 } else { 0 };
            seen = changes;
        }
    }
}

impl Running {
    /// Counts the request as running until the body of the response is sent.
    pub(super) fn until_sent<B: Body>(
        self,
        response: Response<B>,
    ) -> Response<impl Body<Data = B::Data, Error = B::Error>> {
        // The closure is dropped with the body.
        response.map(|body| {
            body.map_err(move |error| {
                let _ = &self;
                error
            })
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let counts = &self.0.0;
        counts.changes.fetch_add(1, Ordering::Relaxed);
        counts.running.fetch_sub(1, Ordering::Relaxed);
    }
}
