//! [`Requests`]: counts and times the requests of the management plane.

use http::StatusCode;
#[cfg(feature = "metrics")]
use metrics::{Counter, Histogram, counter, histogram};

use super::endpoint::Endpoint;
#[cfg(feature = "metrics")]
use super::names;
#[cfg(feature = "metrics")]
use crate::clock::Stopwatch;

/// The handles of a layer.
#[derive(Debug)]
pub(crate) struct Requests {
    #[cfg(feature = "metrics")]
    handles: Box<[Handles]>,
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(crate) struct Began {
    #[cfg(feature = "metrics")]
    stopwatch: Stopwatch,
}

/// The classes of a status that a layer returns.
#[cfg(feature = "metrics")]
const CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];

#[cfg(feature = "metrics")]
#[derive(Debug)]
struct Handles {
    counts: [Counter; 3],
    duration: Histogram,
    /// Sessions that were issued; none for other endpoints.
    issued: Option<Counter>,
}

#[cfg(feature = "metrics")]
impl Requests {
    /// Makes the handles.
    pub(crate) fn new() -> Self {
        Self { handles: Endpoint::ALL.iter().map(|endpoint| Handles::new(*endpoint)).collect() }
    }

    /// Starts to time a request.
    #[expect(clippy::unused_self, reason = "as `end`")]
    pub(crate) fn begin(&self) -> Began {
        Began { stopwatch: Stopwatch::start() }
    }

    /// Counts a request that is answered with this status.
    pub(crate) fn end(&self, began: &Began, endpoint: Endpoint, status: StatusCode) {
        let handles = &self.handles[endpoint as usize];
        let class = match status.as_u16() {
            500.. => 2,
            400.. => 1,
            _ => 0,
        };
        handles.counts[class].increment(1);
        handles.duration.record(began.stopwatch.elapsed());
        if let Some(issued) = handles.issued.as_ref().filter(|_| class == 0) {
            issued.increment(1);
        }
    }
}

#[cfg(feature = "metrics")]
impl Handles {
    fn new(endpoint: Endpoint) -> Self {
        let (dialect, operation) = endpoint.labels();
        let count = |status: &'static str| counter!(names::REQUESTS, "dialect" => dialect, "operation" => operation, "status" => status);
        let issued = || counter!(names::SESSIONS_ISSUED, "action" => operation);
        Self {
            counts: CLASSES.map(count),
            duration: histogram!(
                names::REQUEST_DURATION, "dialect" => dialect, "operation" => operation
            ),
            issued: endpoint.issues_session().then(issued),
        }
    }
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, reason = "as with the feature")]
impl Requests {
    pub(crate) fn new() -> Self {
        Self {}
    }

    pub(crate) fn begin(&self) -> Began {
        Began {}
    }

    pub(crate) fn end(&self, _: &Began, _: Endpoint, _: StatusCode) {}
}
