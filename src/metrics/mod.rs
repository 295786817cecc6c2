//! Metrics, for the recorder of the crate [`metrics`](https://docs.rs/metrics) that the app
//! installs.
//!
//! **Install the recorder first.** A layer makes its handles when it is built, and a store when it
//! is opened. Layers and stores from before record nothing.
//!
//! 1. Install a recorder, such as that of `metrics-exporter-prometheus`.
//! 2. Call [`describe`].
//! 3. Open the store and build the layers.
//!
//! [`ALL`] has the names, the meanings, and the buckets that suit the histograms. Times are in
//! seconds. Labels come only from fixed lists, so that clients cannot create series: the dialect,
//! the operation, the class of a status or outcome, the kind of store. They never have an id, a key,
//! a path, a host or a bucket.
//!
//! The layers and the stores record by themselves. The rest needs a call:
//!
//! * `Measured` (in [`backend`](crate::backend)) times the calls of any store.
//! * `Cached::publish_metrics` publishes the metrics of a cache.
//! * [`KeySampler`] counts the keys of a store.
//!
//! A request that passes through to the app records nothing.

mod catalog;
mod keys;

use metrics::{SharedString, Unit, describe_counter, describe_gauge, describe_histogram, gauge};

pub use self::{
    catalog::{ALL, Metric, MetricKind},
    keys::{KeyCounts, KeySampler},
};
use crate::meter::names;

/// Describes every metric to the recorder, and sets `tower_credentials_build_info`.
///
/// Call it after the recorder is installed.
pub fn describe() {
    for metric in ALL {
        let (name, help) = (metric.name, SharedString::const_str(metric.help));
        let unit = if name.ends_with("_seconds") { Unit::Seconds } else { Unit::Count };
        match metric.kind {
            MetricKind::Counter => describe_counter!(name, unit, help),
            MetricKind::Gauge => describe_gauge!(name, unit, help),
            MetricKind::Histogram => describe_histogram!(name, unit, help),
        }
    }
    gauge!(names::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}
