//! Validates tokens of clients.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use crate::{
    auth::{AuthError, Presented, TokenValidator},
    domain::{Caller, Delegation, ProjectId, Scope, SecretText, UserId},
};

use super::{
    cache::{AgedCache, Fetched, Found},
    client::KeystoneClient,
    error::KeystoneError,
    transport::{Outgoing, SUBJECT_TOKEN},
    wire::{self, TokenInfo},
};

/// Longer texts are not tokens. Keystone's servers reject such headers.
const MAX_TOKEN: usize = 8_000;

/// Validates tokens by asking Keystone, and caches the answers.
///
/// The [`KeystoneClient`] sets the lifetime and the size of the cache, and what happens during an
/// outage of Keystone. The cache holds only the SHA-256 of a token. Concurrent requests with one
/// token share a single request to Keystone. Unknown tokens are cached for 5 seconds, separately
/// from valid ones.
///
/// HTTP Basic credentials are rejected. So is the token of an application credential with access
/// rules, which Keystone reveals only to services that enforce them.
///
/// ```
/// use std::time::Duration;
///
/// use tower_credentials::keystone::{KeystoneClient, KeystoneValidator, Outage, ServiceLogin};
///
/// let client = KeystoneClient::builder("http://127.0.0.1:5000")
///     .login(ServiceLogin::password("s3", "a-password", "service"))
///     .cache_ttl(Duration::from_secs(30))
///     .during_outage(Outage::ServeStale(Duration::from_mins(5)))
///     .build()?;
/// let validator = KeystoneValidator::new(client);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeystoneValidator {
    client: KeystoneClient,
    methods: Arc<LoginMethods>,
    callers: AgedCache<TokenDigest, Arc<Caller>>,
}

/// The SHA-256 of a token.
type TokenDigest = [u8; 32];

impl KeystoneValidator {
    /// Creates a validator that asks with this client and has the client's cache settings.
    #[must_use]
    pub fn new(client: KeystoneClient) -> Self {
        let callers = AgedCache::new(client.cache(), Arc::clone(client.clock()));
        Self { client, methods: Arc::default(), callers }
    }

    /// Sets the login methods by which users of this site log in as themselves, in addition to
    /// Keystone's own. Callers who logged in by an unknown method are delegated
    /// ([`Delegation::Other`]). Replaces earlier calls.
    ///
    /// `ec2credential` is ignored: a token that was obtained with a key cannot manage keys.
    #[must_use]
    pub fn login_methods<I>(mut self, additional: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let additional = additional.into_iter().map(Into::into);
        self.methods = Arc::new(LoginMethods(additional.filter(|it| it != BY_KEY).collect()));
        self.callers = AgedCache::new(self.client.cache(), Arc::clone(self.client.clock()));
        self
    }

    async fn caller(&self, token: &SecretText) -> Result<Arc<Caller>, AuthError> {
        let digest: TokenDigest = Sha256::digest(token.expose().as_bytes()).into();
        let fetch = || fetch(self.client.clone(), Arc::clone(&self.methods), header(token));
        match self.callers.get(&digest, fetch).await {
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

/// Returns the token as a header value, if it can be a token at all.
fn header(token: &SecretText) -> Option<HeaderValue> {
    let token = token.expose();
    let possible =
        (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    let mut header = HeaderValue::from_str(token).ok().filter(|_| possible)?;
    header.set_sensitive(true);
    Some(header)
}

async fn fetch(
    client: KeystoneClient,
    methods: Arc<LoginMethods>,
    token: Option<HeaderValue>,
) -> Fetched<Arc<Caller>> {
    let Some(token) = token else { return Ok(None) };
    let mut outgoing = Outgoing::get("/auth/tokens?nocatalog");
    outgoing.headers.insert(SUBJECT_TOKEN, token);
    let answer = client.send(outgoing).await?;
    match answer.status {
        StatusCode::OK => {}
        _ if answer.is_not_found() => return Ok(None),
        StatusCode::FORBIDDEN => {
            return Err(KeystoneError::refused(
                "Keystone does not let the service user validate tokens: it lacks the role `service`",
            ));
        }
        status => return Err(wire::unexpected_status("token validation", status)),
    }
    let caller = caller(wire::token(&answer.body)?, &methods)?;
    if caller.expires_at.is_some_and(|expiry| expiry <= client.clock().now()) {
        tracing::warn!("Keystone accepts a token that has expired by this host's clock");
        return Ok(None);
    }
    Ok(Some(Found { expires_at: caller.expires_at, value: Arc::new(caller) }))
}

/// The login method of tokens that were obtained with a key.
const BY_KEY: &str = "ec2credential";

/// Keystone's own methods by which users log in as themselves.
const LOGIN_METHODS: [&str; 9] =
    ["external", "kerberos", "mapped", "openid", "password", "saml2", "token", "totp", "x509"];

/// Additional login methods of a site.
#[derive(Clone, Debug, Default)]
struct LoginMethods(BTreeSet<String>);

impl LoginMethods {
    /// Returns whether there is at least one method, and all of them are known.
    fn include(&self, methods: &[String]) -> bool {
        let is_known =
            |method: &String| LOGIN_METHODS.contains(&&**method) || self.0.contains(method);
        !methods.is_empty() && methods.iter().all(is_known)
    }
}

/// Converts Keystone's description of a token to the caller.
fn caller(token: TokenInfo, own: &LoginMethods) -> Result<Caller, KeystoneError> {
    let unusable =
        || KeystoneError::unexpected("Keystone's token has a user or project without an id");
    let delegation = delegation(&token, own);
    let user_id = UserId::new(token.user.id).map_err(|_| unusable())?;
    let scope = match (token.project, token.domain, token.system) {
        (Some(project), ..) => Scope::Project(ProjectId::new(project.id).map_err(|_| unusable())?),
        (None, Some(domain), _) => Scope::Domain(domain.id),
        (None, None, Some(_)) => Scope::System,
        (None, None, None) => Scope::Unscoped,
    };
    let mut caller = Caller::new(user_id, scope)
        .with_roles(token.roles.into_iter().map(|role| role.name))
        .with_expiry(token.expires_at.0);
    caller.delegation = delegation;
    Ok(caller)
}

fn delegation(token: &TokenInfo, own: &LoginMethods) -> Option<Delegation> {
    if token.methods.iter().any(|method| method == BY_KEY) {
        return Some(Delegation::Ec2Credential);
    }
    if let Some(trust) = &token.trust {
        return Some(Delegation::Trust { id: trust.id.clone() });
    }
    if let Some(credential) = &token.application_credential {
        let (id, restricted) = (credential.id.clone(), credential.restricted);
        return Some(Delegation::ApplicationCredential { id, restricted });
    }
    if let Some(oauth1) = &token.oauth1 {
        return Some(Delegation::AccessToken { id: oauth1.access_token_id.clone() });
    }
    (!own.include(&token.methods)).then_some(Delegation::Other)
}
