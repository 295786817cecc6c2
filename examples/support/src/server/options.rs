//! The options of a server for its connections and links.

#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tower_credentials::{
    CredentialLayerBuilder, ForwardedHeader, InvalidNetwork, TrustedProxies,
    secret_files::SecretFiles,
};

use super::Transport;
use crate::LogFormat;
#[cfg(feature = "metrics")]
use crate::metrics::MetricsOptions;

/// How clients reach a server.
#[derive(Clone, Debug, Args)]
pub struct ServerOptions {
    /// The external URL of the server, such as `https://keys.example.com`, for links in responses
    /// [default: the scheme and the host of the request].
    ///
    /// Pages of this origin may change credentials.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Serve HTTPS only, with the certificate in this PEM file. Its issuers follow it.
    ///
    /// The server reads both files again on SIGHUP, and when they change. New connections get the
    /// new certificate. If it cannot be used, the old one stays in use.
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the private key of the certificate, which is not encrypted.
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A network of proxies, such as `10.0.0.0/8`, whose headers about the client count. Can be
    /// repeated.
    ///
    /// The source of a request is the rightmost address in `Forwarded` or `X-Forwarded-For` that is
    /// not a trusted proxy's. The id of a request is that of `X-Request-Id`. The headers of other
    /// clients are ignored.
    #[arg(long, value_name = "CIDR", value_parser = network)]
    trusted_proxy: Vec<String>,
    /// The header in which the trusted proxies report the client's address [default: both; if they
    /// differ, the address is unknown].
    ///
    /// Without it, a client can hide its address by sending the header that the proxies pass on.
    #[arg(long, value_name = "HEADER", requires = "trusted_proxy")]
    forwarded_header: Option<Header>,
    /// The maximum number of connections. The server then closes those that have been idle for the
    /// longest time, to make room for new ones.
    #[arg(long, value_name = "N", default_value = "4096", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,
    /// How many seconds the server accepts requests after SIGTERM or SIGINT, while `/readyz` returns
    /// 503.
    ///
    /// Behind a load balancer, set the time in which it notices: its interval times the failures
    /// that it waits for.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = clap::value_parser!(u64).range(0..=3600))]
    drain: u64,
    /// The format of the lines on stderr. `RUST_LOG` filters them.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    #[cfg(feature = "metrics")]
    #[command(flatten)]
    pub metrics: MetricsOptions,
}

impl ServerOptions {
    /// Sets the options of a layer.
    pub fn apply(&self, layer: CredentialLayerBuilder) -> CredentialLayerBuilder {
        match &self.base_url {
            Some(url) => layer.base_url(url),
            None => layer,
        }
    }

    /// The format of the log.
    pub fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// The proxies whose headers count.
    pub(super) fn trusted_proxies(&self) -> Result<TrustedProxies, InvalidNetwork> {
        let proxies = TrustedProxies::new(&self.trusted_proxy)?;
        Ok(match self.forwarded_header {
            Some(Header::Forwarded) => proxies.header(ForwardedHeader::Forwarded),
            Some(Header::XForwardedFor) => proxies.header(ForwardedHeader::XForwardedFor),
            None => proxies,
        })
    }

    /// The maximum number of connections.
    pub fn max_connections(&self) -> usize {
        self.max_connections as usize
    }

    pub(super) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain)
    }

    /// Reads the certificate, if one is given, and starts to follow its files.
    ///
    /// # Errors
    ///
    /// The certificate or its key cannot be used. The message is one line, and names the file.
    #[cfg(feature = "tls")]
    pub fn transport(&self, files: SecretFiles) -> Result<Transport, String> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Transport::tls(cert, key, files),
            _ => Ok(Transport::plain()),
        }
    }

    /// Without the feature `tls`, connections are not encrypted.
    ///
    /// # Errors
    ///
    /// None.
    #[cfg(not(feature = "tls"))]
    pub fn transport(&self, _: SecretFiles) -> Result<Transport, String> {
        Ok(Transport::plain())
    }
}

/// The values of `--forwarded-header`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Header {
    Forwarded,
    XForwardedFor,
}

/// Checks the value of `--trusted-proxy`.
fn network(text: &str) -> Result<String, InvalidNetwork> {
    TrustedProxies::new([text])?;
    Ok(text.to_owned())
}
