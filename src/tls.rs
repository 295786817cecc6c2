//! Sets the certificates of TLS connections to PostgreSQL, etcd and Keystone.
//!
//! Pass a [`TlsConfig`] to the method `tls` of a client's builder.

#[cfg(any(feature = "etcd", feature = "keystone"))]
use std::time::Duration;
use std::{
    error::Error as StdError,
    fmt,
    fs::{self, File},
    io::{self, Read},
    sync::Arc,
};

#[cfg(any(feature = "etcd", feature = "keystone"))]
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

/// The certificates that a client trusts, and the certificate that it shows to servers.
///
/// The default trusts the certificate authorities of the operating system and has no client
/// certificate. Each setter replaces what was set before.
///
/// ```
/// use tower_credentials::tls::TlsConfig;
///
/// # let (authority, certificate, key) = ("", "", "a-private-key");
/// let tls = TlsConfig::new().root_certificates(authority).client_certificate(certificate, key);
/// assert!(!format!("{tls:?}").contains("a-private-key"));
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct TlsConfig {
    roots: Option<Vec<u8>>,
    client: Option<ClientCertificate>,
}

/// A certificate chain and its key, both in PEM.
#[derive(Clone)]
struct ClientCertificate {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// Which certificate authorities to trust if a [`TlsConfig`] names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SystemRoots {
    /// None, because the connection is not encrypted.
    Ignored,
    /// Those of the operating system, if it has any.
    #[cfg(feature = "postgres")]
    Optional,
    /// Those of the operating system. It is an error if it has none.
    #[cfg(any(feature = "etcd", feature = "keystone"))]
    Required,
}

impl TlsConfig {
    /// Trusts the operating system, without a client certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts only these certificate authorities, in PEM, instead of those of the operating
    /// system.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Shows this certificate chain to a server that requests one. Chain and private key are in
    /// PEM.
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client =
            Some(ClientCertificate { chain: chain.into(), key: Zeroizing::new(key.into()) });
        self
    }

    /// As [`root_certificates`](Self::root_certificates), from a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read. The error names the file.
    pub fn root_certificates_file(self, path: &str) -> io::Result<Self> {
        Ok(self.root_certificates(fs::read(path).map_err(|error| cannot_read(path, &error))?))
    }

    /// As [`client_certificate`](Self::client_certificate), from files. Only the owner may have
    /// access to the key file, but root may share it with its group, as for `libpq`.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or others have access to the key. The error names the file.
    pub fn client_certificate_files(mut self, chain: &str, key: &str) -> io::Result<Self> {
        let chain = fs::read(chain).map_err(|error| cannot_read(chain, &error))?;
        let key = read_private(key).map_err(|error| cannot_read(key, &error))?;
        self.client = Some(ClientCertificate { chain, key });
        Ok(self)
    }

    /// Takes from `other` what is not set.
    #[cfg(any(feature = "etcd", feature = "postgres"))]
    pub(crate) fn or(self, other: Self) -> Self {
        Self { roots: self.roots.or(other.roots), client: self.client.or(other.client) }
    }

    #[cfg(feature = "etcd")]
    pub(crate) fn has_client_certificate(&self) -> bool {
        self.client.is_some()
    }

    /// Builds the configuration for the TLS library, always with the same crypto provider.
    pub(crate) fn client_config(&self, system: SystemRoots) -> Result<ClientConfig, TlsError> {
        let mut roots = RootCertStore::empty();
        if let Some(pem) = &self.roots {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| TlsError::RootCertificates)?;
                roots.add(certificate).map_err(|_| TlsError::RootCertificates)?;
            }
            if roots.is_empty() {
                return Err(TlsError::RootCertificates);
            }
        } else if system != SystemRoots::Ignored {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            #[cfg(any(feature = "etcd", feature = "keystone"))]
            if roots.is_empty() && system == SystemRoots::Required {
                return Err(TlsError::NoSystemCertificates);
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsError::Unsupported)?
            .with_root_certificates(roots);
        let Some(ClientCertificate { chain, key }) = &self.client else {
            return Ok(config.with_no_client_auth());
        };
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or(TlsError::ClientCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::ClientKey)?;
        config.with_client_auth_cert(chain, key).map_err(|_| TlsError::ClientKeyMismatch)
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("has_root_certificates", &self.roots.is_some())
            .field("has_client_certificate", &self.client.is_some())
            .finish_non_exhaustive()
    }
}

/// Why a [`TlsConfig`] cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// The client certificate is not a chain of PEM certificates.
    ClientCertificate,
    /// The key of the client certificate is not a private key in PEM.
    ClientKey,
    /// The client certificate and its key do not belong together, or their type is not
    /// supported.
    ClientKeyMismatch,
    /// The operating system has no trusted certificates, and none were set.
    NoSystemCertificates,
    /// The root certificates are not certificates in PEM that can be trusted.
    RootCertificates,
    /// The TLS library supports no protocol version.
    Unsupported,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientCertificate => "cannot use the client certificate: not PEM certificates",
            Self::ClientKey => "cannot use the client certificate: its key is not a PEM key",
            Self::ClientKeyMismatch => {
                "cannot use the client certificate: its key does not match or is not supported"
            }
            Self::NoSystemCertificates => {
                "the operating system has no trusted certificates; set the root certificates"
            }
            Self::RootCertificates => {
                "cannot use the root certificates: not PEM certificates that can be trusted"
            }
            Self::Unsupported => "the TLS library supports no protocol version",
        })
    }
}

impl StdError for TlsError {}

/// Returns a connector for HTTP over TCP, or over TLS if the URL says so.
#[cfg(any(feature = "etcd", feature = "keystone"))]
pub(crate) fn connector(
    tls: ClientConfig,
    timeout: Duration,
) -> hyper_rustls::HttpsConnector<HttpConnector> {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT.min(timeout)));
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    tcp.enforce_http(false);
    hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp)
}

#[cfg(any(feature = "etcd", feature = "keystone"))]
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

fn cannot_read(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot read {path}: {error}"))
}

/// Reads a file that only its owner may have access to.
fn read_private(path: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = File::open(path)?;
    if is_exposed(&file)? {
        let message = format!("other users have access to it; run `chmod 600 {path}`");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    let mut text = Zeroizing::new(Vec::new());
    file.read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(unix)]
fn is_exposed(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let found = file.metadata()?;
    let allowed = if found.uid() == 0 { 0o740 } else { 0o700 };
    Ok(found.mode() & 0o777 & !allowed != 0)
}

/// Other systems have no such permissions.
#[cfg(not(unix))]
fn is_exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_pem_is_rejected() {
        for bad in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"] {
            let built = TlsConfig::new().root_certificates(bad).client_config(SystemRoots::Ignored);
            assert_eq!(built.err(), Some(TlsError::RootCertificates), "{bad:?}");
        }
        let shown = TlsConfig::new().client_certificate("garbage", "garbage");
        let built = shown.client_config(SystemRoots::Ignored);
        assert_eq!(built.err(), Some(TlsError::ClientCertificate));
    }
}
