//! Opens a backend: the URL and the settings beyond it.

use std::{fmt, io, sync::Arc, time::Duration};

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::backend::{OpenError, OpenErrorKind, OpenMode};
use crate::clock::{Clock, SystemClock};
use crate::domain::SecretText;
use crate::tls::{SystemRoots, TlsConfig};

use super::backend::EtcdBackend;
use super::client::{Client, Login};
use super::error::EtcdError;
use super::keys::Keys;
use super::store::Store;
use super::transport::Http;
use super::upgrade;
use super::wire::{KeyValue, Range, RangeAnswer, Txn};

/// The version of the layout below the prefix.
const VERSION: u32 = 2;

/// The version that is upgraded when it is opened.
const FORMER: u32 = 1;

const DEFAULT_PREFIX: &str = "tower-credentials/";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u16 = 2379;

/// etcd's default quota of 2 GiB, less a sixteenth.
const DEFAULT_MAX_SIZE: u64 = (2 << 30) / 16 * 15;

/// Builds an [`EtcdBackend`].
///
/// Each setter replaces the setting that the default, the URL or an earlier call made.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct EtcdBuilder {
    url: String,
    prefix: Option<String>,
    login: Option<(String, SecretText)>,
    tls: TlsConfig,
    timeout: Duration,
    max_size: u64,
    mode: OpenMode,
    clock: Arc<dyn Clock>,
}

impl EtcdBackend {
    /// Opens the store that a URL names; see [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// See [`EtcdBuilder::build`].
    pub async fn open(url: impl Into<String>) -> Result<Self, OpenError> {
        Self::builder(url).build().await
    }

    /// Starts to configure a store in the cluster of a URL:
    /// `etcd://[user:password@]host:port,host:port[/prefix]`, or `etcds://` for TLS.
    ///
    /// The default port is 2379. With TLS the query `?cacert=FILE&cert=FILE&key=FILE` names PEM
    /// files: the authorities to trust instead of the operating system's, and the client
    /// certificate with its key. Only the owner may have access to the key file.
    pub fn builder(url: impl Into<String>) -> EtcdBuilder {
        EtcdBuilder {
            url: url.into(),
            prefix: None,
            login: None,
            tls: TlsConfig::new(),
            timeout: DEFAULT_TIMEOUT,
            max_size: DEFAULT_MAX_SIZE,
            mode: OpenMode::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl EtcdBuilder {
    /// Sets the prefix of all keys. A slash is added if it does not end with one. No store's
    /// prefix may be the beginning of another's.
    ///
    /// Default: that of the URL, otherwise `tower-credentials/`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Logs in as this user of etcd. The token is renewed when etcd no longer accepts it.
    ///
    /// Default: the user of the URL, otherwise none.
    pub fn login(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((name.into(), SecretText::new(password)));
        self
    }

    /// Sets the certificates for TLS. Root certificates replace those of the URL's `cacert`, a
    /// client certificate that of `cert` and `key`. Members that run with
    /// `--client-cert-auth` require a client certificate.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// Sets the timeout of a call to etcd, including its retries. Of several members, each has
    /// a third of it to answer.
    ///
    /// Default: 5 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the size of etcd's database, in bytes, at which inserts and loads stop. Keep it
    /// below etcd's `--quota-backend-bytes`, which is 2 GiB by default. When etcd reaches its
    /// quota, it rejects every write, deletes included.
    ///
    /// Default: 1.875 GiB.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Sets whether the prefix must have a store.
    ///
    /// Default: [`OpenMode::Create`].
    pub fn mode(mut self, mode: OpenMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the clock that decides how long a member that failed is skipped.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Connects and checks the version of the store. Creates the store if the prefix is empty.
    /// Reads the files that the URL names, which blocks.
    ///
    /// # Errors
    ///
    /// [`OpenError`] with the [kind](OpenError::kind)
    ///
    /// - `InvalidSetting` if the URL, or a certificate, is invalid;
    /// - `Unavailable` if no member can be reached and verified;
    /// - `PermissionDenied` if etcd rejects the login;
    /// - `AlreadyExists`, `Foreign`, `Newer` or `NotFound` for the store itself.
    pub async fn build(self) -> Result<EtcdBackend, OpenError> {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self { url, prefix, login, tls, timeout, max_size, mode, clock } = self;
        let url = ParsedUrl::parse(&url)?;
        let tls = tls.or(url.tls);
        if !url.is_encrypted && tls.has_client_certificate() {
            return Err(invalid("a client certificate requires a URL with etcds://"));
        }
        let roots = if url.is_encrypted { SystemRoots::Required } else { SystemRoots::Ignored };
        let tls = tls.client_config(roots).map_err(|error| invalid(error.to_string()))?;
        let login = login.or(url.login).map(|(name, password)| Login::new(name, password));
        let client = Client::new(Http::new(tls, timeout), url.endpoints, login, clock, timeout);
        let mut prefix = prefix.or(url.prefix).unwrap_or_else(|| DEFAULT_PREFIX.into());
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let store = Store::new(client, Keys::new(prefix), max_size);
        check_version(&store, mode).await?;
        Ok(EtcdBackend::new(store))
    }
}

impl fmt::Debug for EtcdBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        let login = self.login.as_ref().map(|(name, _)| name);
        f.debug_struct("EtcdBuilder")
            .field("prefix", &self.prefix)
            .field("login", &login)
            .field("tls", &self.tls)
            .field("timeout", &self.timeout)
            .field("max_size", &self.max_size)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct ParsedUrl {
    is_encrypted: bool,
    /// URLs of scheme and authority.
    endpoints: Vec<String>,
    login: Option<(String, SecretText)>,
    prefix: Option<String>,
    tls: TlsConfig,
}

impl ParsedUrl {
    /// Parses a URL and reads the files that it names.
    fn parse(url: &str) -> Result<Self, OpenError> {
        let (is_encrypted, rest) = match url.split_once("://") {
            Some(("etcd", rest)) => (false, rest),
            Some(("etcds", rest)) => (true, rest),
            _ => return Err(invalid("the URL must begin with etcd:// or etcds://")),
        };
        if rest.contains('#') {
            return Err(invalid("the URL must not have a fragment (#)"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if query.contains('@') {
            return Err(invalid(
                "percent-encode every @, / and ? within the user, password and paths of the URL",
            ));
        }
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let endpoints = hosts.split(',').map(|host| endpoint(is_encrypted, host));
        let endpoints = endpoints.collect::<Result<_, _>>()?;
        let login = match login {
            Some(login) => {
                let (name, password) = login.split_once(':').unwrap_or((login, ""));
                Some((decode(name)?, SecretText::new(decode(password)?)))
            }
            None => None,
        };
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        Ok(Self { is_encrypted, endpoints, login, prefix, tls: read_files(query)? })
    }
}

fn endpoint(is_encrypted: bool, host: &str) -> Result<String, OpenError> {
    let scheme = if is_encrypted { "https" } else { "http" };
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let endpoint = if has_port {
        format!("{scheme}://{host}")
    } else {
        format!("{scheme}://{host}:{DEFAULT_PORT}")
    };
    let uri = endpoint.parse::<Uri>().ok();
    let is_valid = uri.is_some_and(|uri| {
        // Text before an `@` may be a password.
        uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    if is_valid { Ok(endpoint) } else { Err(invalid("the URL has a host that is not valid")) }
}

/// Reads the files that the query of a URL names.
fn read_files(query: &str) -> Result<TlsConfig, OpenError> {
    let unreadable = |error: io::Error| invalid(error.to_string());
    let (mut tls, mut certificate, mut key) = (TlsConfig::new(), None, None);
    for setting in query.split('&').filter(|setting| !setting.is_empty()) {
        let (name, path) = setting.split_once('=').unwrap_or((setting, ""));
        let path = decode(path)?;
        match name {
            "cacert" => tls = tls.root_certificates_file(&path).map_err(unreadable)?,
            "cert" => certificate = Some(path),
            "key" => key = Some(path),
            _ => {
                return Err(invalid("the query of the URL may have only cacert, cert and key"));
            }
        }
    }
    match (certificate, key) {
        (None, None) => Ok(tls),
        (Some(certificate), Some(key)) => {
            tls.client_certificate_files(&certificate, &key).map_err(unreadable)
        }
        _ => Err(invalid("cert and key must be given together")),
    }
}

fn decode(text: &str) -> Result<String, OpenError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| invalid("a user, password or path in the URL is not UTF-8"))
}

fn invalid(message: impl Into<String>) -> OpenError {
    OpenError::invalid_setting(message)
}

/// Checks the version of the store. Writes the version of a new store, unless the store must
/// exist.
async fn check_version(store: &Store, mode: OpenMode) -> Result<(), OpenError> {
    let key = store.keys.version();
    if let Some(found) = store.client.range(&Range::of(key.clone())).await?.one() {
        return accept_version(store, &found, mode).await;
    }
    if mode == OpenMode::Existing {
        let message = "no credential store found below the prefix";
        return Err(OpenError::new(OpenErrorKind::NotFound, message));
    }
    let mut txn = Txn::default();
    txn.require(key.clone(), 0);
    txn.otherwise(Range::of(key.clone()));
    txn.put(key, VERSION.to_string());
    let answer = store.client.txn(&txn).await?.answer;
    if answer.succeeded {
        return Ok(());
    }
    // Another process was faster.
    let found = answer.ranges().next().and_then(RangeAnswer::one);
    let contradiction = || EtcdError::unexpected("etcd neither wrote nor found the version");
    accept_version(store, &found.ok_or_else(contradiction)?, mode).await
}

async fn accept_version(store: &Store, found: &KeyValue, mode: OpenMode) -> Result<(), OpenError> {
    if mode == OpenMode::CreateNew {
        let message = "a credential store already exists below the prefix";
        return Err(OpenError::new(OpenErrorKind::AlreadyExists, message));
    }
    let version = str::from_utf8(&found.value.0).ok().and_then(|text| text.parse::<u32>().ok());
    match version {
        Some(VERSION) => Ok(()),
        Some(FORMER) => {
            tracing::info!("rewriting the index of the credential store");
            upgrade::rewrite_entries(store).await.map_err(OpenError::backend)?;
            let mut txn = Txn::default();
            txn.require(found.key.0.clone(), found.mod_revision);
            txn.put(found.key.0.clone(), VERSION.to_string());
            // If that fails, another process was faster.
            store.client.txn(&txn).await?;
            tracing::info!(version = VERSION, "migrated the credential store");
            Ok(())
        }
        Some(version) if version > VERSION => {
            let message =
                format!("the store has version {version}; this release supports {VERSION}");
            Err(OpenError::new(OpenErrorKind::Newer, message))
        }
        _ => {
            let message = "the keys below the prefix are not a credential store";
            Err(OpenError::new(OpenErrorKind::Foreign, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_names_endpoints_login_and_prefix() {
        let url = "etcds://amy:p%40ss:1@a:1,b,[::1],[::1]:7/x/y";
        let parsed = ParsedUrl::parse(url).unwrap();
        let endpoints = ["https://a:1", "https://b:2379", "https://[::1]:2379", "https://[::1]:7"];
        assert_eq!(parsed.endpoints, endpoints);
        assert!(parsed.is_encrypted);
        assert!(!format!("{parsed:?}").contains("ss:1"));
        let (name, password) = parsed.login.unwrap();
        assert_eq!((&*name, password.expose()), ("amy", "p@ss:1"));
        assert_eq!(parsed.prefix.as_deref(), Some("x/y"));
        assert!(!format!("{:?}", EtcdBackend::builder(url)).contains("ss:1"));

        let parsed = ParsedUrl::parse("etcd://127.0.0.1:2379").unwrap();
        assert_eq!(parsed.endpoints, ["http://127.0.0.1:2379"]);
        assert!(parsed.prefix.is_none() && parsed.login.is_none() && !parsed.is_encrypted);
    }

    #[tokio::test]
    async fn invalid_settings_are_rejected_before_connecting() {
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
            let error = EtcdBackend::open(bad).await.unwrap_err();
            assert_eq!(error.kind(), OpenErrorKind::InvalidSetting, "{bad:?}");
        }
        let garbage = TlsConfig::new().root_certificates("garbage");
        let error = EtcdBackend::builder("etcds://a").tls(garbage).build().await.unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::InvalidSetting);
        let shown = TlsConfig::new().client_certificate("some", "thing");
        for url in ["etcd://a", "etcds://a"] {
            let builder = EtcdBackend::builder(url).tls(shown.clone());
            assert!(!format!("{builder:?}").contains("thing"), "{builder:?}");
            let error = builder.build().await.unwrap_err();
            assert_eq!(error.kind(), OpenErrorKind::InvalidSetting);
        }
    }
}
