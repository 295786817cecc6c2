//! The client: every call carries the service user's token.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;

use crate::{
    clock::{Clock, SystemClock},
    meter::KeystoneUp,
    tls::{SystemRoots, TlsConfig},
};

use super::{
    cache::{CacheSettings, Outage},
    error::{KeystoneConfigError, KeystoneError},
    login::ServiceLogin,
    token::{OwnToken, Token},
    transport::{AUTH_TOKEN, KeystoneAnswer, MAX_ANSWER, MAX_LIST, Outgoing, Transport},
};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Calls a Keystone with the token of a service user.
///
/// The client logs in at the first call, renews the token at nine tenths of its lifetime, and
/// replaces it at once when Keystone rejects it. Connections are kept and shared. Clones share
/// everything and are cheap.
///
/// Calls need a tokio runtime with time and I/O enabled.
///
/// ```no_run
/// use http::Method;
/// use tower_credentials::keystone::{KeystoneClient, ServiceLogin};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = KeystoneClient::builder("https://id.example.org/identity/v3")
///     .login(ServiceLogin::password("s3", "a-password", "service"))
///     .build()?;
/// let answer = client.call(Method::GET, "/users/amy", None).await?;
/// println!("{}", answer.status);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeystoneClient {
    transport: Arc<Transport>,
    own: Arc<OwnToken>,
    cache: CacheSettings,
    up: KeystoneUp,
}

impl KeystoneClient {
    /// Starts to configure a client of the Keystone at this URL, with or without `/v3` at its
    /// end.
    pub fn builder(url: impl Into<String>) -> KeystoneClientBuilder {
        KeystoneClientBuilder {
            url: url.into(),
            login: None,
            cache: CacheSettings::default(),
            clock: Arc::new(SystemClock),
            timeout: DEFAULT_TIMEOUT,
            tls: TlsConfig::new(),
        }
    }

    /// Calls Keystone with the service user's token. `path` is the path after `/v3`, with its
    /// query and percent-encoded. Every status is returned, except 401, which is an error after
    /// one retry with a new token.
    ///
    /// The answer to a GET may have up to 32 MiB, any other answer 1 MiB.
    ///
    /// # Errors
    ///
    /// See [`KeystoneErrorKind`](super::KeystoneErrorKind). After `TimedOut`, `Unreachable` and
    /// `Unexpected` the outcome of a change is unknown.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<KeystoneAnswer, KeystoneError> {
        if !path.starts_with('/') {
            return Err(KeystoneError::unexpected("the path must begin with a slash"));
        }
        let is_read = method == Method::GET || method == Method::HEAD;
        self.send(Outgoing {
            is_idempotent: is_read,
            max_answer: if is_read { MAX_LIST } else { MAX_ANSWER },
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
        })
        .await
    }

    /// Sends a request with the service user's token. If Keystone rejects the token, sends it
    /// again with a new one. The client's timeout is for all of this.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<KeystoneAnswer, KeystoneError> {
        let sent = tokio::time::timeout(self.transport.timeout, self.send_untimed(outgoing));
        let result = sent.await.unwrap_or_else(|_| Err(KeystoneError::timed_out()));
        self.up.set(result.as_ref().is_ok_and(|answer| !answer.status.is_server_error()));
        result
    }

    async fn send_untimed(&self, mut outgoing: Outgoing) -> Result<KeystoneAnswer, KeystoneError> {
        let token = self.own.current().await?;
        let answer = self.send_with(&token, &mut outgoing).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let token = self.own.replacement_for(&token).await?;
        let answer = self.send_with(&token, &mut outgoing).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        Err(KeystoneError::refused("Keystone rejects the token that it has just issued"))
    }

    async fn send_with(
        &self,
        token: &Token,
        outgoing: &mut Outgoing,
    ) -> Result<KeystoneAnswer, KeystoneError> {
        outgoing.headers.insert(AUTH_TOKEN, token.header.clone());
        self.transport.send(outgoing).await
    }

    pub(super) fn cache(&self) -> CacheSettings {
        self.cache
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        self.own.clock()
    }
}

impl fmt::Debug for KeystoneClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KeystoneClient");
        shown.field("url", &self.transport.base()).field("own", &self.own).finish_non_exhaustive()
    }
}

/// Builds a [`KeystoneClient`]. Each setter replaces what was set before.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct KeystoneClientBuilder {
    url: String,
    login: Option<ServiceLogin>,
    cache: CacheSettings,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    tls: TlsConfig,
}

impl KeystoneClientBuilder {
    /// Sets the login of the service user. Required.
    pub fn login(mut self, login: ServiceLogin) -> Self {
        self.login = Some(login);
        self
    }

    /// Sets the timeout of a call, including the login and the retry. A connection must be
    /// established within 2 seconds.
    ///
    /// Default: 5 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long the validator and the directory of this client cache an answer. The
    /// revocation of a token, the disabling of a user and the change of a role take effect
    /// within this time. On a data plane with a cache of its own, they take effect within one
    /// second more. Expired tokens are rejected at once. With zero, the client asks Keystone for
    /// every request.
    ///
    /// Default: 60 seconds.
    pub fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.cache.ttl = ttl;
        self
    }

    /// Sets how many answers of each kind are cached: tokens, users, projects, domains,
    /// memberships and delegations.
    ///
    /// Default: 10,000.
    pub fn cache_capacity(mut self, capacity: usize) -> Self {
        self.cache.capacity = capacity;
        self
    }

    /// Sets whether the validator and the directory serve expired answers during an outage of
    /// Keystone.
    ///
    /// Default: [`Outage::FailClosed`].
    pub fn during_outage(mut self, outage: Outage) -> Self {
        self.cache.outage = outage;
        self
    }

    /// Sets the clock, also for the validator and the directory of this client.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the certificates for TLS.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// Builds the client. Does not connect yet.
    ///
    /// # Errors
    ///
    /// [`KeystoneConfigError`] if the URL or the certificates are invalid, or the login is
    /// missing.
    pub fn build(self) -> Result<KeystoneClient, KeystoneConfigError> {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self { url, login, cache, clock, timeout, tls } = self;
        let (base, is_encrypted) = parse_url(&url)?;
        let login = login.ok_or(KeystoneConfigError::NoLogin)?;
        let roots = if is_encrypted { SystemRoots::Required } else { SystemRoots::Ignored };
        let tls = tls.client_config(roots).map_err(KeystoneConfigError::Tls)?;
        let transport = Transport::new(&base, tls, timeout).ok_or(KeystoneConfigError::Url)?;
        let transport = Arc::new(transport);
        let own = Arc::new(OwnToken::new(login, clock, Arc::clone(&transport)));
        Ok(KeystoneClient { transport, own, cache, up: KeystoneUp::new() })
    }
}

/// Returns the URL up to and with `/v3`, and whether it is encrypted.
fn parse_url(url: &str) -> Result<(String, bool), KeystoneConfigError> {
    let uri: Uri = url.parse().map_err(|_| KeystoneConfigError::Url)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(KeystoneConfigError::Url);
    };
    let is_http = scheme == "http" || scheme == "https";
    if !is_http || uri.query().is_some() || authority.as_str().contains('@') {
        return Err(KeystoneConfigError::Url);
    }
    let path = uri.path().trim_end_matches('/');
    let path = path.strip_suffix("/v3").unwrap_or(path).trim_end_matches('/');
    Ok((format!("{scheme}://{authority}{path}/v3"), scheme == "https"))
}

#[cfg(test)]
mod tests {
    use crate::tls::TlsError;

    use super::*;

    #[test]
    fn url_may_end_in_v3() {
        for (url, expected) in [
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000/v3"),
            ("http://127.0.0.1:5000/v3/", "http://127.0.0.1:5000/v3"),
            ("https://id.example.org/identity", "https://id.example.org/identity/v3"),
            ("https://id.example.org/identity/v3", "https://id.example.org/identity/v3"),
            ("http://[::1]:5000/", "http://[::1]:5000/v3"),
        ] {
            assert_eq!(parse_url(url).map(|(base, _)| base).as_deref(), Ok(expected), "{url}");
        }
        for bad in ["", "id.example.org", "ftp://h/", "/v3", "http://a:b@h/", "http://h/?x=1"] {
            assert_eq!(parse_url(bad), Err(KeystoneConfigError::Url), "{bad}");
        }
    }

    #[test]
    fn invalid_certificates_and_a_missing_login_are_rejected() {
        let builder = KeystoneClient::builder("https://h");
        assert_eq!(builder.clone().build().err(), Some(KeystoneConfigError::NoLogin));
        let built = builder
            .login(ServiceLogin::application_credential("i", "s"))
            .tls(TlsConfig::new().root_certificates("garbage"))
            .build();
        let expected = KeystoneConfigError::Tls(TlsError::RootCertificates);
        assert_eq!(built.err(), Some(expected));
    }
}
