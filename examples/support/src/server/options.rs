//! The options of a server for its connections and links.

#[cfg(feature = "tls")]
use std::path::PathBuf;

use clap::Args;
use tower_credentials::{CredentialLayerBuilder, secret_files::SecretFiles};

use super::Transport;
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
