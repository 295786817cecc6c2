//! The metrics of guessers.

use metrics::{counter, gauge};

use super::limiter::{GuesserStats, Guessers};
use crate::meter::names;

impl Guessers {
    /// Publishes [`stats`](Self::stats) as metrics, for the recorder of the app. Call it before each
    /// scrape.
    ///
    /// The metrics have no label: publish one instance per process.
    #[expect(clippy::cast_precision_loss, reason = "few responses wait")]
    pub fn publish_metrics(&self) {
        let GuesserStats { failures, delayed, refused_at_once, waiting } = self.stats();
        counter!(names::GUESSER_FAILURES).absolute(failures);
        counter!(names::GUESSERS_DELAYED).absolute(delayed);
        counter!(names::GUESSERS_REFUSED).absolute(refused_at_once);
        gauge!(names::GUESSERS_WAITING).set(waiting as f64);
    }
}
