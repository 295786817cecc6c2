//! Validates clients' tokens.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use super::{
    KeystoneClient, KeystoneError, Outage,
    cache::{AgedCache, Found, Heard, Settings},
    caller::{LoginMethods, caller},
    transport::{Outgoing, SUBJECT_TOKEN},
    wire,
};
use crate::{
    auth::{AuthError, Presented, TokenValidator},
    domain::{Caller, SecretText},
};

/// Longer texts are no tokens; Keystone's servers refuse such headers.
const MAX_TOKEN: usize = 8_000;

/// Validates tokens by asking Keystone, and remembers the answers for a while.
///
/// Only the SHA-256 of a token is kept. However many requests come with one
/// token at once, Keystone is asked once. Tokens that Keystone does not know are
/// remembered for 5 seconds, apart from the good ones.
///
/// HTTP Basic is refused: a Keystone token is what proves who somebody is here.
/// So is the token of an application credential with access rules, which
/// Keystone shows only to services that enforce them.
///
/// ```
/// use std::time::Duration;
///
/// use tower_credentials::keystone::{KeystoneClient, KeystoneValidator, Outage, ServiceLogin};
///
/// let login = ServiceLogin::password("s3", "a-password", "service");
/// let client = KeystoneClient::builder("http://127.0.0.1:5000", login).build()?;
/// let validator = KeystoneValidator::new(client)
///     .max_age(Duration::from_secs(30))
///     .during_outage(Outage::ServeStale(Duration::from_mins(5)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeystoneValidator {
    client: KeystoneClient,
    settings: Settings,
    methods: Arc<LoginMethods>,
    callers: AgedCache<TokenDigest, Arc<Caller>>,
}

/// The SHA-256 of a token.
type TokenDigest = [u8; 32];

impl KeystoneValidator {
    /// A validator that asks with this client.
    #[must_use]
    pub fn new(client: KeystoneClient) -> Self {
        let settings = Settings::default();
        let callers = AgedCache::new(settings, Arc::clone(client.clock()));
        Self { client, settings, methods: Arc::default(), callers }
    }

    /// Sets for how long an answer counts, 60 seconds by default: within that time
    /// a revoked token, a disabled user and a changed role are felt. A token's own
    /// end is always felt at once. Zero asks for every request.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        let settings = Settings { max_age, ..self.settings };
        self.with(settings)
    }

    /// Sets how many tokens are remembered, 10,000 by default.
    #[must_use]
    pub fn capacity(self, capacity: usize) -> Self {
        let settings = Settings { capacity, ..self.settings };
        self.with(settings)
    }

    /// Sets what happens while Keystone is out of order; by default
    /// [`Outage::FailClosed`].
    #[must_use]
    pub fn during_outage(self, outage: Outage) -> Self {
        let settings = Settings { outage, ..self.settings };
        self.with(settings)
    }

    /// Adds names of login methods that this site has beside Keystone's own, by
    /// which a user logs in as itself. Callers who came by a method that is not
    /// known are delegated ([`Delegation::Other`](crate::domain::Delegation::Other)).
    ///
    /// `ec2credential` is ignored: what was obtained with a key cannot manage keys.
    #[must_use]
    pub fn login_methods<I>(mut self, extra: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Arc::make_mut(&mut self.methods).extend(extra.into_iter().map(Into::into));
        let settings = self.settings;
        self.with(settings)
    }

    fn with(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self.callers = AgedCache::new(settings, Arc::clone(self.client.clock()));
        self
    }

    async fn caller(&self, token: &SecretText) -> Result<Arc<Caller>, AuthError> {
        let digest: TokenDigest = Sha256::digest(token.expose().as_bytes()).into();
        let ask = || ask(self.client.clone(), Arc::clone(&self.methods), header(token));
        match self.callers.get(&digest, ask).await {
            Ok(Some(caller)) => Ok(caller),
            Ok(None) => Err(AuthError::Invalid),
            Err(error) => Err(AuthError::Unavailable(error.into())),
        }
    }
}

#[async_trait]
impl TokenValidator for KeystoneValidator {
    async fn validate(&self, presented: &Presented) -> Result<Arc<Caller>, AuthError> {
        match presented {
            Presented::Token(token) => self.caller(token).await,
            Presented::Basic { .. } => Err(AuthError::Invalid),
        }
    }
}

/// The token as a header, if it can be a token at all.
fn header(token: &SecretText) -> Option<HeaderValue> {
    let token = token.expose();
    let possible =
        (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    let mut header = HeaderValue::from_str(token).ok().filter(|_| possible)?;
    header.set_sensitive(true);
    Some(header)
}

async fn ask(
    client: KeystoneClient,
    methods: Arc<LoginMethods>,
    token: Option<HeaderValue>,
) -> Heard<Arc<Caller>> {
    let Some(token) = token else { return Ok(None) };
    let mut outgoing = Outgoing::get("/auth/tokens?nocatalog");
    outgoing.headers.insert(SUBJECT_TOKEN, token);
    let answer = client.send(outgoing).await?;
    match answer.status {
        StatusCode::OK => {}
        _ if answer.is_not_found() => return Ok(None),
        StatusCode::FORBIDDEN => {
            return Err(KeystoneError::refused(
                "Keystone lets the service user validate no tokens: it lacks the role service",
            ));
        }
        status => return Err(wire::unexpected_status("a validation", status)),
    }
    let caller = caller(wire::token(&answer.body)?, &methods)?;
    if caller.expires_at.is_some_and(|end| end <= client.clock().now()) {
        tracing::warn!("Keystone knows a token that has ended by the clock of this host");
        return Ok(None);
    }
    Ok(Some(Found { ends_at: caller.expires_at, value: Arc::new(caller) }))
}
