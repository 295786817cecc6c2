//! Settings, and the first contact.

use std::{fmt, fs, sync::Arc, time::Duration};

use http::Uri;
use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::backend::identity::{self, Identity};
use crate::clock::{Clock, SystemClock};
use crate::domain::SecretText;

use crate::backend::{OpenError, OpenErrorKind};

use super::backend::EtcdBackend;
use super::client::{Client, Login};
use super::error::EtcdError;
use super::keys::Keys;
use super::store::Store;
use super::transport::Http;
use super::wire::{KeyValue, Range, RangeAnswer, Txn};

/// The version of what is written below the prefix.
const VERSION: u32 = 1;

const DEFAULT_PREFIX: &str = "tower-credentials/";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u16 = 2379;

/// etcd's own default of 2 GiB, less a sixteenth.
const DEFAULT_MAX_SIZE: u64 = (2 << 30) / 16 * 15;

/// Sets an [`EtcdBackend`] up.
#[derive(Clone)]
#[must_use = "a builder does nothing until `connect`"]
pub struct EtcdBuilder {
    endpoints: Vec<String>,
    prefix: String,
    login: Option<(String, SecretText)>,
    root_certificates: Option<Vec<u8>>,
    identity: Option<Identity>,
    timeout: Duration,
    max_size: u64,
    existing: bool,
    clock: Arc<dyn Clock>,
}

impl EtcdBackend {
    /// Opens the store of a URL.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        EtcdBuilder::of_url(url)?.connect().await
    }

    /// Builder from a URL.
    pub fn from_url(url: &str) -> Result<EtcdBuilder, OpenError> {
        EtcdBuilder::of_url(url)
    }

    /// Builder from endpoints.
    pub fn builder<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> EtcdBuilder {
        EtcdBuilder::new(endpoints.into_iter().map(Into::into).collect())
    }
}

impl EtcdBuilder {
    pub(super) fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            prefix: DEFAULT_PREFIX.into(),
            login: None,
            root_certificates: None,
            identity: None,
            timeout: DEFAULT_TIMEOUT,
            max_size: DEFAULT_MAX_SIZE,
            existing: false,
            clock: Arc::new(SystemClock),
        }
    }

    pub(super) fn of_url(url: &str) -> Result<Self, OpenError> {
        let (scheme, rest) = match url.split_once("://") {
            Some(("etcd", rest)) => ("http", rest),
            Some(("etcds", rest)) => ("https", rest),
            _ => {
                return Err(OpenError::invalid_setting(
                    "the URL begins with neither etcd:// nor etcds://",
                ));
            }
        };
        if rest.contains('#') {
            return Err(OpenError::invalid_setting(
                "the URL has a fragment, which says nothing here",
            ));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let endpoint = |host: &str| {
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
            if has_port {
                format!("{scheme}://{host}")
            } else {
                format!("{scheme}://{host}:{DEFAULT_PORT}")
            }
        };
        let mut builder = Self::new(hosts.split(',').map(endpoint).collect());
        if let Some(login) = login {
            let (name, password) = login.split_once(':').unwrap_or((login, ""));
            builder = builder.login(decoded(name)?, decoded(password)?);
        }
        if !prefix.is_empty() {
            builder = builder.prefix(prefix);
        }
        builder.with_files(query)
    }

    /// Reads the files that a URL's query names.
    fn with_files(mut self, query: &str) -> Result<Self, OpenError> {
        if query.contains('@') {
            let what = "an @, / or ? within a user, password or path must be encoded";
            return Err(OpenError::invalid_setting(what));
        }
        let (mut certificate, mut key) = (None, None);
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (name, path) = setting.split_once('=').unwrap_or((setting, ""));
            let path = decoded(path)?;
            match name {
                "cacert" => {
                    let pem = fs::read(&path).map_err(|error| {
                        OpenError::invalid_setting(format!("cannot read {path}: {error}"))
                    })?;
                    self = self.root_certificate_pem(pem);
                }
                "cert" => certificate = Some(path),
                "key" => key = Some(path),
                _ => {
                    let what = "the URL's query says something else than cacert, cert and key";
                    return Err(OpenError::invalid_setting(what));
                }
            }
        }
        self.identity = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let identity = Identity::from_files(&certificate, &key);
                Some(identity.map_err(OpenError::invalid_setting)?)
            }
            (None, None) => None,
            _ => return Err(OpenError::invalid_setting("of cert and key the URL has only one")),
        };
        Ok(self)
    }

    /// Sets what all keys begin with, `tower-credentials/` by default. A slash is added if
    /// it does not end with one. No store's prefix may be the beginning of another's.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        if !self.prefix.ends_with('/') {
            self.prefix.push('/');
        }
        self
    }

    /// Logs in as this user of etcd. The token that it gets for it is renewed when etcd no
    /// longer accepts it.
    pub fn login(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((name.into(), SecretText::new(password)));
        self
    }

    /// Trusts these certificate authorities, in PEM, **instead** of the system's.
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Shows this certificate, and those that vouch for it, to members that ask for one
    /// (`--client-cert-auth`); in PEM, with its key.
    pub fn client_certificate_pem(
        mut self,
        certificates: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.identity = Some(Identity::new(certificates, key));
        self
    }

    /// Sets the time that one call to etcd may take, with all its attempts: 5 seconds by
    /// default. Of several members, each is given a third of it to answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets from which size of etcd's database on nothing is added, in bytes: 1.875 GiB by
    /// default. Keep it below etcd's own `--quota-backend-bytes` of 2 GiB, since etcd
    /// takes no more writes of anyone when that is reached, deletes included.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Refuses a prefix that holds no store instead of making one there.
    pub fn existing(mut self) -> Self {
        self.existing = true;
        self
    }

    /// Sets the clock, which tells how long a member that failed is left alone.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Asks etcd whether the store is there; makes it if not.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose [`kind`](OpenError::kind) tells a wrong setting from a login
    /// that is refused, a cluster that cannot be reached, and a store of a later release.
    pub async fn connect(self) -> Result<EtcdBackend, OpenError> {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self {
            endpoints,
            prefix,
            login,
            root_certificates,
            identity,
            timeout,
            max_size,
            existing,
            clock,
        } = self;
        let is_encrypted = check(&endpoints)?;
        let tls = tls(is_encrypted, root_certificates.as_deref(), identity.as_ref())?;
        let login = login.map(|(name, password)| Login::new(name, password));
        let client = Client::new(Http::new(tls, timeout), endpoints, login, clock, timeout);
        let store = Store::new(client, Keys::new(prefix), max_size);
        prepare(&store, existing).await?;
        Ok(EtcdBackend::new(store))
    }
}

/// Neither the password nor what stands where one is written.
impl fmt::Debug for EtcdBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = self.login.as_ref().map(|(name, _)| name);
        f.debug_struct("EtcdBuilder")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .field("login", &login)
            .field("timeout", &self.timeout)
            .field("max_size", &self.max_size)
            .finish_non_exhaustive()
    }
}

fn decoded(text: &str) -> Result<String, OpenError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| OpenError::invalid_setting("a user, password or path in the URL is not UTF-8"))
}

/// Whether the endpoints are encrypted, which all are or none.
fn check(endpoints: &[String]) -> Result<bool, OpenError> {
    let mut schemes = Vec::new();
    for endpoint in endpoints {
        let uri = endpoint.parse::<Uri>().ok();
        let sound = uri.filter(|uri| {
            let authority = uri.authority().map(http::uri::Authority::as_str);
            // What stands before an `@` may be a password.
            authority.is_some_and(|authority| !authority.contains('@'))
                && uri.host().is_some_and(|host| !host.is_empty())
                && matches!(uri.path(), "" | "/")
                && uri.query().is_none()
                && !endpoint.ends_with('/')
        });
        match sound.as_ref().and_then(Uri::scheme_str) {
            Some(scheme @ ("http" | "https")) => schemes.push(scheme == "https"),
            _ => {
                return Err(OpenError::invalid_setting(
                    "an endpoint is not http:// or https:// and a host",
                ));
            }
        }
    }
    let first =
        *schemes.first().ok_or_else(|| OpenError::invalid_setting("there is no endpoint"))?;
    if schemes.iter().any(|scheme| *scheme != first) {
        return Err(OpenError::invalid_setting("some endpoints are encrypted and some are not"));
    }
    Ok(first)
}

fn tls(
    is_encrypted: bool,
    pem: Option<&[u8]>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, OpenError> {
    if !is_encrypted && identity.is_some() {
        let what = "a certificate is shown to encrypted endpoints only, and these are not";
        return Err(OpenError::invalid_setting(what));
    }
    let unusable = || OpenError::invalid_setting("the root certificates are of no use");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| unusable())?;
    if is_encrypted && pem.is_none() {
        let config = hyper_rustls::ConfigBuilderExt::with_native_roots(config);
        let config = config.map_err(|_| {
            OpenError::invalid_setting("the system has no root certificates to trust")
        })?;
        return identity::showing(identity, config).map_err(OpenError::invalid_setting);
    }
    let mut roots = RootCertStore::empty();
    if let Some(pem) = pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
        }
        if roots.is_empty() {
            return Err(unusable());
        }
    }
    identity::showing(identity, config.with_root_certificates(roots))
        .map_err(OpenError::invalid_setting)
}

/// Checks the version, or writes it unless the store must exist.
async fn prepare(store: &Store, existing: bool) -> Result<(), OpenError> {
    let key = store.keys.version();
    if let Some(found) = store.client.range(&Range::of(key.clone())).await?.one() {
        return admit(&found);
    }
    if existing {
        let what = "there is no store of credentials below the prefix";
        return Err(OpenError::new(OpenErrorKind::NotFound, what));
    }
    let mut txn = Txn::default();
    txn.require(key.clone(), 0);
    txn.otherwise(Range::of(key.clone()));
    txn.put(key, VERSION.to_string());
    let answer = store.client.txn(&txn).await?.answer;
    if answer.succeeded {
        return Ok(());
    }
    // Another was faster.
    let found = answer.ranges().next().and_then(RangeAnswer::one);
    admit(&found.ok_or_else(|| EtcdError::unexpected("etcd contradicts itself"))?)
}

fn admit(found: &KeyValue) -> Result<(), OpenError> {
    let version = str::from_utf8(&found.value.0).ok().and_then(|text| text.parse::<u32>().ok());
    match version {
        Some(VERSION) => Ok(()),
        Some(version) if version > VERSION => {
            let what = format!("the store has format {version}, and this release knows {VERSION}");
            Err(OpenError::new(OpenErrorKind::Newer, what))
        }
        _ => {
            let what = "what lies below the prefix is not a store of credentials";
            Err(OpenError::new(OpenErrorKind::Foreign, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_endpoints_a_login_and_a_prefix() {
        let builder = EtcdBuilder::of_url("etcds://amy:p%40ss:1@a:1,b,[::1],[::1]:7/x/y").unwrap();
        let endpoints = ["https://a:1", "https://b:2379", "https://[::1]:2379", "https://[::1]:7"];
        assert_eq!(builder.endpoints, endpoints);
        assert!(check(&builder.endpoints).unwrap());
        let (name, password) = builder.login.clone().unwrap();
        assert_eq!((&*name, password.expose()), ("amy", "p@ss:1"));
        assert_eq!(builder.prefix, "x/y/");
        assert!(!format!("{builder:?}").contains("ss:1"));

        let builder = EtcdBuilder::of_url("etcd://127.0.0.1:2379").unwrap();
        assert_eq!(builder.endpoints, ["http://127.0.0.1:2379"]);
        assert_eq!(builder.prefix, DEFAULT_PREFIX);
        assert!(builder.login.is_none());
    }

    #[tokio::test]
    async fn settings_of_no_use_are_refused_before_anything_is_asked() {
        for bad in [
            "",
            "http://a",
            "etcd://",
            "etcd://a,,b",
            "etcd://a/x?y",
            "etcd://a#y",
            "etcd://a b",
            "etcds://a:b?cert=c&key=d@e",
            "etcds://a?cert=/nowhere/at.all&key=/nowhere/at.all",
            "etcds://a?key=/dev/null",
            "etcds://a?cacert=/nowhere/at.all",
            "etcds://a?cacert=/dev/null",
        ] {
            let opened = match EtcdBuilder::of_url(bad) {
                Ok(builder) => builder.connect().await.map(drop),
                Err(error) => Err(error),
            };
            assert_eq!(opened.unwrap_err().kind(), OpenErrorKind::InvalidSetting, "{bad:?}");
        }
        for bad in [&[][..], &["http://a:1", "https://a:1"], &["http://a:b@c:1"], &["http://a:1/x"]]
        {
            let endpoints = bad.iter().map(|endpoint| (*endpoint).into()).collect();
            let error = EtcdBuilder::new(endpoints).connect().await.unwrap_err();
            assert_eq!(error.kind(), OpenErrorKind::InvalidSetting, "{bad:?}");
        }
        let builder = EtcdBuilder::of_url("etcds://a").unwrap().root_certificate_pem("garbage");
        assert_eq!(builder.connect().await.unwrap_err().kind(), OpenErrorKind::InvalidSetting);
        for url in ["etcd://a", "etcds://a"] {
            let builder = EtcdBuilder::of_url(url).unwrap().client_certificate_pem("some", "thing");
            assert!(!format!("{builder:?}").contains("thing"), "{builder:?}");
            assert_eq!(builder.connect().await.unwrap_err().kind(), OpenErrorKind::InvalidSetting);
        }
    }
}
