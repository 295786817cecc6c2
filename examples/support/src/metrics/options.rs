//! The options of a server for its metrics.

use std::{net::SocketAddr, time::Duration};

use clap::Args;

use super::{Metrics, listener::Listener};

/// How a server serves its metrics.
#[derive(Clone, Debug, Args)]
pub struct MetricsOptions {
    /// Serve metrics for Prometheus at `/metrics` on this address, without TLS and without
    /// authentication [default: no metrics].
    ///
    /// The address must be a loopback address, unless `--metrics-public` is given.
    #[arg(id = "metrics_listen", long = "metrics-listen", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Accept an address for `--metrics-listen` that other machines can reach.
    ///
    /// Everybody who can reach it can read the metrics.
    #[arg(id = "metrics_public", long = "metrics-public", requires = "metrics_listen")]
    public: bool,
    /// Interval in seconds at which to count the keys in the store by state and expiry [default:
    /// they are not counted].
    ///
    /// Each count reads the whole store. Of several servers of one store, only one needs it.
    #[arg(id = "metrics_keys_every", long = "metrics-keys-every", value_name = "SECONDS", requires = "metrics_listen", value_parser = clap::value_parser!(u64).range(10..=86_400))]
    keys_every: Option<u64>,
}

impl MetricsOptions {
    /// Installs the recorder of the metrics, if an address is given. Call it before anything is
    /// built that records metrics.
    ///
    /// # Errors
    ///
    /// The address is not a loopback address, or the server cannot listen on it.
    pub fn install(&self) -> Result<Option<Metrics>, String> {
        let Some(address) = self.listen else { return Ok(None) };
        if !self.public && !address.ip().to_canonical().is_loopback() {
            return Err(format!(
                "--metrics-listen must be a loopback address, got {address}; --metrics-public \
                 accepts it"
            ));
        }
        let every = self.keys_every.map(Duration::from_secs);
        Metrics::install(Listener::bind(address)?, every).map(Some)
    }
}
