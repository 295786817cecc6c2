//! Reads a certificate and its key, and checks that servers can use them.

use std::{
    error::Error,
    fmt,
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    InconsistentKeys, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};
use tower_credentials::{
    clock::{Clock as _, SystemClock},
    secret_files::SecretFiles,
};
use x509_cert::{Certificate, der::Decode as _, time::Validity};

/// The largest file that is read.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// The application protocols, by preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate and its key, ready for use.
pub(super) struct Pair {
    pub(super) config: Arc<ServerConfig>,
    /// The serial number of the certificate, for the log.
    pub(super) serial: String,
    /// When the certificate is valid.
    pub(super) validity: Validity,
}

/// Why a certificate or its key cannot be used.
#[derive(Debug)]
pub(super) struct PairError {
    message: String,
    /// Whether the same files can be used later.
    pub(super) may_succeed_later: bool,
}

impl PairError {
    pub(super) fn new(message: String) -> Self {
        Self { message, may_succeed_later: false }
    }
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for PairError {}

impl Pair {
    /// Reads a certificate chain and its key, both in PEM.
    ///
    /// # Errors
    ///
    /// A file is unreadable, empty or not PEM; the certificate has expired or is not yet valid; the
    /// key does not match. The message names the file.
    pub(super) fn load(cert: &Path, key: &Path, files: SecretFiles) -> Result<Self, PairError> {
        let chain = read_chain(cert).map_err(PairError::new)?;
        let leaf = chain.first().map(AsRef::as_ref).unwrap_or_default();
        let (serial, validity) = check_leaf(leaf, cert, SystemClock.now())?;
        let config = build(chain, cert, key, files).map_err(PairError::new)?;
        Ok(Self { config, serial, validity })
    }
}

/// Reads the certificates of a file. There is at least one.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let name = path.display();
    let cannot_read = |error: io::Error| format!("cannot read {name}: {error}");
    let mut pem = Vec::new();
    let file = File::open(path).map_err(cannot_read)?;
    file.take(MAX_BYTES).read_to_end(&mut pem).map_err(cannot_read)?;
    if pem.iter().all(u8::is_ascii_whitespace) {
        return Err(format!("{name} is empty"));
    }
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if chain.is_empty() => Err(format!("{name} contains no certificate in PEM")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("{name} is not valid PEM: {}", reason(&error))),
    }
}

/// Checks the validity of the server's certificate, and returns its serial number and when it is valid.
///
/// Those of its issuers are not checked: clients find another path.
fn check_leaf(der: &[u8], path: &Path, now: SystemTime) -> Result<(String, Validity), PairError> {
    let name = path.display();
    let parsed = Certificate::from_der(der).map_err(|error| {
        PairError::new(format!("{name} does not contain a valid X.509 certificate: {error}"))
    })?;
    let Validity { not_before, not_after } = parsed.tbs_certificate.validity;
    if now < not_before.to_system_time() {
        let start = not_before.to_date_time();
        let message = format!("the certificate in {name} is not valid before {start}");
        return Err(PairError { message, may_succeed_later: true });
    }
    let end = not_after.to_date_time();
    if now > not_after.to_system_time() {
        return Err(PairError::new(format!("the certificate in {name} expired at {end}")));
    }
    Ok((parsed.tbs_certificate.serial_number.to_string(), parsed.tbs_certificate.validity))
}

fn build(
    chain: Vec<CertificateDer<'static>>,
    cert: &Path,
    key: &Path,
    files: SecretFiles,
) -> Result<Arc<ServerConfig>, String> {
    let name = key.display();
    let text = files.read(key).map_err(|error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })?;
    let text = text.expose();
    let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound if text.trim().is_empty() => format!("{name} is empty"),
        // Of PKCS #8, or of older formats.
        _ if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains(",ENCRYPTED") => {
            format!("the private key in {name} is encrypted: expected one without a passphrase")
        }
        pem::Error::NoItemsFound => format!("{name} contains no private key in PEM"),
        error => format!("{name} is not valid PEM: {}", reason(&error)),
    })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pair = CertifiedKey::from_der(chain, der, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            format!(
                "the private key in {name} does not match the certificate in {}",
                cert.display()
            )
        }
        rustls::Error::InvalidCertificate(error) => {
            format!("cannot use the certificate in {}: {error}", cert.display())
        }
        error => format!("cannot use the private key in {name}: {error}"),
    })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// Why PEM is not valid. The library's message would contain bytes of the file.
fn reason(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section has no valid start",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be read",
    }
}
