//! Who a client of a store is, to a server that asks for its certificate.

use std::{
    fs::{self, File},
    io::{self, Read},
};

use rustls::{
    ClientConfig, ConfigBuilder,
    client::WantsClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

/// A certificate, with those that vouch for it, and its key; both in PEM.
#[derive(Clone)]
pub(super) struct Identity {
    certificates: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Identity {
    pub(super) fn new(certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self { certificates: certificates.into(), key: Zeroizing::new(key.into()) }
    }

    /// Reads it from two files. That of the key must be its owner's alone; root may share
    /// one with its group, as for `libpq`.
    ///
    /// # Errors
    ///
    /// What is wrong with which file.
    pub(super) fn from_files(certificates: &str, key: &str) -> Result<Self, String> {
        let unreadable = |path: &str, error: &io::Error| format!("cannot read {path}: {error}");
        let read = fs::read(certificates).map_err(|error| unreadable(certificates, &error))?;
        let mut file = File::open(key).map_err(|error| unreadable(key, &error))?;
        if is_exposed(&file).map_err(|error| unreadable(key, &error))? {
            return Err(format!(
                "{key} can be read or written by others than its owner: run `chmod 600 {key}`"
            ));
        }
        let mut text = Zeroizing::new(Vec::new());
        file.read_to_end(&mut text).map_err(|error| unreadable(key, &error))?;
        Ok(Self { certificates: read, key: text })
    }
}

/// A client that shows this, if there is any, to whoever asks.
///
/// # Errors
///
/// What is wrong with the identity.
pub(super) fn showing(
    identity: Option<&Identity>,
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
) -> Result<ClientConfig, String> {
    let Some(Identity { certificates, key }) = identity else {
        return Ok(config.with_no_client_auth());
    };
    let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or("the client's certificate is of no use")?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| "the key of the client's certificate is of no use")?;
    config
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("the client's certificate and key are of no use: {error}"))
}

#[cfg(unix)]
fn is_exposed(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let found = file.metadata()?;
    let allowed = if found.uid() == 0 { 0o740 } else { 0o700 };
    Ok(found.mode() & 0o777 & !allowed != 0)
}

/// Elsewhere nobody can tell from here.
#[cfg(not(unix))]
fn is_exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}
