//! [`Batches`]: the writes of a store that commits several of them at once.

#[cfg(feature = "metrics")]
use metrics::{Gauge, Histogram, gauge, histogram};

#[cfg(feature = "metrics")]
use super::names;

/// The handles of a store.
#[derive(Clone, Debug)]
pub(crate) struct Batches {
    #[cfg(feature = "metrics")]
    size: Histogram,
    #[cfg(feature = "metrics")]
    depth: Gauge,
}

/// A write whose caller waits for its result. Dropping it ends the wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    #[cfg(feature = "metrics")]
    depth: Gauge,
}

#[cfg(feature = "metrics")]
impl Batches {
    /// Makes the handles of a kind of store.
    pub(crate) fn new(store: &'static str) -> Self {
        Self {
            size: histogram!(names::STORE_BATCH_SIZE, "store" => store),
            depth: gauge!(names::STORE_QUEUE_DEPTH, "store" => store),
        }
    }

    /// Records the number of writes that were committed together.
    #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
    pub(crate) fn record(&self, writes: usize) {
        self.size.record(writes as f64);
    }

    /// Counts a write until it is done, or its caller is gone.
    pub(crate) fn wait(&self) -> Waiting {
        self.depth.increment(1.0);
        Waiting { depth: self.depth.clone() }
    }
}

#[cfg(feature = "metrics")]
impl Drop for Waiting {
    fn drop(&mut self) {
        self.depth.decrement(1.0);
    }
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, reason = "as with the feature")]
impl Batches {
    pub(crate) fn new(_: &'static str) -> Self {
        Self {}
    }

    pub(crate) fn record(&self, _: usize) {}

    pub(crate) fn wait(&self) -> Waiting {
        Waiting {}
    }
}
