//! The metrics of a server. Without the feature `metrics` there are none.

use tower_credentials::{audit::file::AuditFile, guessers::Guessers};

#[cfg(feature = "metrics")]
use crate::metrics::{Metrics, Sources};
use crate::{backend::Keys, health::Health, server::ServerOptions};

/// The metrics of this process, which are recorded and not served yet.
pub struct Publishing {
    #[cfg(feature = "metrics")]
    metrics: Option<Metrics>,
}

impl Publishing {
    /// Installs the recorder, if the options ask for metrics. Call it before anything is built that
    /// records metrics.
    ///
    /// # Errors
    ///
    /// The address is not a loopback address, or the server cannot listen on it.
    #[cfg(feature = "metrics")]
    pub fn install(options: &ServerOptions) -> Result<Self, String> {
        Ok(Self { metrics: options.metrics.install()? })
    }

    /// Without the feature `metrics`, nothing is recorded.
    ///
    /// # Errors
    ///
    /// None.
    #[cfg(not(feature = "metrics"))]
    pub fn install(_: &ServerOptions) -> Result<Self, String> {
        Ok(Self {})
    }

    /// Serves the metrics until the process ends, with those of the cache, the guessers and the
    /// audit file.
    ///
    /// # Panics
    ///
    /// If called outside a tokio runtime.
    #[cfg(feature = "metrics")]
    pub fn serve(
        self,
        keys: &Keys,
        guessers: Option<&Guessers>,
        audit: Option<&AuditFile>,
        health: &Health,
    ) {
        if let Some(metrics) = self.metrics {
            metrics.serve(Sources {
                keys: keys.clone(),
                guessers: guessers.cloned(),
                audit: audit.cloned(),
                health: health.clone(),
            });
        }
    }

    /// Without the feature `metrics`, nothing is served.
    #[cfg(not(feature = "metrics"))]
    pub fn serve(self, _: &Keys, _: Option<&Guessers>, _: Option<&AuditFile>, _: &Health) {}
}
