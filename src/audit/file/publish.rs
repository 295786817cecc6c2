//! The metrics of an audit file.

use metrics::{counter, gauge};

use super::handle::{AuditFile, AuditStats};
use crate::meter::names;

impl AuditFile {
    /// Publishes [`stats`](Self::stats) and [`health`](Self::health) as metrics, for the recorder of
    /// the app. Call it before each scrape.
    ///
    /// The metrics have no label: publish one file per process.
    #[expect(clippy::cast_precision_loss, reason = "at most 65,536 events wait")]
    pub fn publish_metrics(&self) {
        let AuditStats { written, lost, waiting } = self.stats();
        gauge!(names::AUDIT_HEALTHY).set(f64::from(u8::from(self.health().is_ok())));
        counter!(names::AUDIT_LOST).absolute(lost);
        gauge!(names::AUDIT_WAITING).set(waiting as f64);
        counter!(names::AUDIT_WRITTEN).absolute(written);
    }
}
