//! The metrics of a server, on a listener of their own.

mod listener;
mod options;
mod page;

use std::time::Duration;

#[cfg(feature = "tls")]
use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};
use tower_credentials::metrics::{ALL, KeySampler};

use self::{listener::Listener, page::Page};
pub use self::{options::MetricsOptions, page::Sources};

/// When the certificate in use expires, in seconds since 1970.
#[cfg(feature = "tls")]
const CERTIFICATE_EXPIRY: &str = "tower_credentials_certificate_expiry_timestamp_seconds";

/// How often the samples of histograms are moved into their buckets. Without that they would use
/// memory until the next scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process. They are recorded from now on, and served later.
pub struct Metrics {
    listener: Listener,
    handle: PrometheusHandle,
    keys_every: Option<Duration>,
}

impl Metrics {
    /// Listens, and installs the recorder. Layers and stores from before record nothing.
    fn install(listener: Listener, keys_every: Option<Duration>) -> Result<Self, String> {
        let recorder = builder().map_err(|error| error.to_string())?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
        tower_credentials::metrics::describe();
        #[cfg(feature = "tls")]
        describe_gauge!(
            CERTIFICATE_EXPIRY,
            Unit::Seconds,
            "When the TLS certificate in use expires, in seconds since 1970."
        );
        Ok(Self { listener, handle, keys_every })
    }

    /// Serves the metrics, those of these sources, and the health of the server, until the process
    /// ends.
    ///
    /// # Panics
    ///
    /// If called outside a tokio runtime.
    pub fn serve(self, sources: Sources) {
        let Self { listener, handle, keys_every } = self;
        tokio::spawn(keep_up(handle.clone()));
        if let Some(period) = keys_every {
            tokio::spawn(KeySampler::new(sources.keys.clone()).run(period));
        }
        tokio::spawn(listener.serve(Page::new(handle, sources)));
    }
}

/// Records when the certificate in use expires.
#[cfg(feature = "tls")]
pub(crate) fn set_certificate_expiry(seconds: f64) {
    gauge!(CERTIFICATE_EXPIRY).set(seconds);
}

/// Every histogram has buckets: summaries of several processes cannot be added up.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    let histograms = ALL.iter().filter(|metric| !metric.buckets.is_empty());
    histograms.into_iter().try_fold(PrometheusBuilder::new(), |builder, metric| {
        builder.set_buckets_for_metric(Matcher::Full(metric.name.into()), metric.buckets)
    })
}

async fn keep_up(handle: PrometheusHandle) {
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}
