//! The client: every call with the service user's token.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::Value;

use super::{
    KeystoneAnswer, KeystoneConfigError, KeystoneError, ServiceLogin,
    token::{OwnToken, Token},
    transport::{AUTH_TOKEN, MAX_ANSWER, MAX_LIST, Outgoing, Transport},
};
use crate::clock::{Clock, SystemClock};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks a Keystone, as a service user that it logs in by itself.
///
/// Connections are kept and shared. The service user's token is obtained with
/// the first call, renewed at nine tenths of its life, and replaced at once when
/// Keystone refuses it. Clones share everything and are cheap.
///
/// Calls need a tokio runtime with time and I/O enabled.
///
/// ```no_run
/// use http::Method;
/// use tower_credentials::keystone::{KeystoneClient, ServiceLogin};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let login = ServiceLogin::password("s3", "a-password", "service");
/// let client = KeystoneClient::builder("https://id.example.org/identity/v3", login).build()?;
/// let answer = client.call(Method::GET, "/users/amy", None).await?;
/// println!("{}", answer.status);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeystoneClient {
    transport: Arc<Transport>,
    own: Arc<OwnToken>,
}

impl KeystoneClient {
    /// Starts to set up a client for the Keystone at this URL, with or without
    /// `/v3` at its end.
    pub fn builder(url: impl Into<String>, login: ServiceLogin) -> KeystoneClientBuilder {
        KeystoneClientBuilder {
            url: url.into(),
            login,
            clock: Arc::new(SystemClock),
            timeout: DEFAULT_TIMEOUT,
            root_certificates: None,
        }
    }

    /// Calls Keystone with the service user's token. `path` is what follows
    /// `/v3`, with its query, percent-encoded where it must be. Any status is an
    /// answer, but 401, which after one retry with a new token is an error.
    ///
    /// The answer to a GET may have up to 32 MiB, any other 1 MiB.
    ///
    /// # Errors
    ///
    /// See [`KeystoneErrorKind`](super::KeystoneErrorKind). After `TimedOut`,
    /// `Unreachable` and `Unexpected` a change may have been made or not.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<KeystoneAnswer, KeystoneError> {
        if !path.starts_with('/') {
            return Err(KeystoneError::unexpected("not a path"));
        }
        let reads = method == Method::GET || method == Method::HEAD;
        self.send(Outgoing {
            repeatable: reads,
            max_answer: if reads { MAX_LIST } else { MAX_ANSWER },
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
        })
        .await
    }

    /// Sends with the service user's token, and once more with a new one if that
    /// was refused; all within the client's timeout.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<KeystoneAnswer, KeystoneError> {
        let sent = tokio::time::timeout(self.transport.timeout, self.send_untimed(outgoing));
        sent.await.unwrap_or_else(|_| Err(KeystoneError::timed_out()))
    }

    async fn send_untimed(&self, mut outgoing: Outgoing) -> Result<KeystoneAnswer, KeystoneError> {
        let token = self.own.current().await?;
        let answer = self.send_with(&token, &mut outgoing).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let token = self.own.instead_of(&token).await?;
        let answer = self.send_with(&token, &mut outgoing).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        Err(KeystoneError::refused("Keystone refuses the token that it has just given out"))
    }

    async fn send_with(
        &self,
        token: &Token,
        outgoing: &mut Outgoing,
    ) -> Result<KeystoneAnswer, KeystoneError> {
        outgoing.headers.insert(AUTH_TOKEN, token.header.clone());
        self.transport.send(outgoing).await
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

/// Sets a [`KeystoneClient`] up.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct KeystoneClientBuilder {
    url: String,
    login: ServiceLogin,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    root_certificates: Option<Vec<u8>>,
}

impl KeystoneClientBuilder {
    /// Sets the time that one call may take, 5 seconds by default. The login, if
    /// it has to wait for one, and the retry are within it. A connection must be
    /// there within 2 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the clock, which also the validator and the directory go by.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Trusts these certificate authorities, in PEM, **instead** of the system's.
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Makes the client. Nothing is asked of Keystone yet.
    ///
    /// # Errors
    ///
    /// [`KeystoneConfigError`] if the URL or the certificates are of no use.
    pub fn build(self) -> Result<KeystoneClient, KeystoneConfigError> {
        let (base, encrypted) = base(&self.url)?;
        let tls = tls(encrypted, self.root_certificates.as_deref())?;
        let transport = Transport::new(&base, tls, self.timeout).ok_or(KeystoneConfigError::Url)?;
        let transport = Arc::new(transport);
        let own = Arc::new(OwnToken::new(self.login, self.clock, Arc::clone(&transport)));
        Ok(KeystoneClient { transport, own })
    }
}

/// The URL up to and with `/v3`, and whether it is encrypted.
fn base(url: &str) -> Result<(String, bool), KeystoneConfigError> {
    let uri: Uri = url.parse().map_err(|_| KeystoneConfigError::Url)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(KeystoneConfigError::Url);
    };
    let known = scheme == "http" || scheme == "https";
    if !known || uri.query().is_some() || authority.as_str().contains('@') {
        return Err(KeystoneConfigError::Url);
    }
    let path = uri.path().trim_end_matches('/');
    let path = path.strip_suffix("/v3").unwrap_or(path).trim_end_matches('/');
    Ok((format!("{scheme}://{authority}{path}/v3"), scheme == "https"))
}

fn tls(encrypted: bool, pem: Option<&[u8]>) -> Result<ClientConfig, KeystoneConfigError> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| KeystoneConfigError::Certificate)?;
    if encrypted && pem.is_none() {
        let config = hyper_rustls::ConfigBuilderExt::with_native_roots(config);
        return Ok(config.map_err(|_| KeystoneConfigError::NoCertificates)?.with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    if let Some(pem) = pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| KeystoneConfigError::Certificate)?;
            roots.add(certificate).map_err(|_| KeystoneConfigError::Certificate)?;
        }
        if roots.is_empty() {
            return Err(KeystoneConfigError::Certificate);
        }
    }
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_end_in_v3_or_not() {
        for (url, wanted) in [
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000/v3"),
            ("http://127.0.0.1:5000/v3/", "http://127.0.0.1:5000/v3"),
            ("https://id.example.org/identity", "https://id.example.org/identity/v3"),
            ("https://id.example.org/identity/v3", "https://id.example.org/identity/v3"),
            ("http://[::1]:5000/", "http://[::1]:5000/v3"),
        ] {
            assert_eq!(base(url).map(|(base, _)| base).as_deref(), Ok(wanted), "{url}");
        }
        for bad in ["", "id.example.org", "ftp://h/", "/v3", "http://a:b@h/", "http://h/?x=1"] {
            assert_eq!(base(bad), Err(KeystoneConfigError::Url), "{bad}");
        }
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        let builder =
            KeystoneClient::builder("https://h", ServiceLogin::application_credential("i", "s"));
        for bad in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"] {
            let built = builder.clone().root_certificate_pem(bad).build();
            assert_eq!(built.err(), Some(KeystoneConfigError::Certificate), "{bad:?}");
        }
    }
}
