//! [`CredentialLayerBuilder`]: the settings of a layer.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use crate::{
    audit::{AuditSink, TracingSink},
    auth::TokenValidator,
    aws::AwsWires,
    backend::CredentialBackend,
    clock::{Clock, SystemClock},
    dialect::Dialect,
    directory::{self, Directory},
    domain::Quota,
    guessers::Guessers,
    issuer::TokenIssuer,
    layer::CredentialLayer,
    policy::{Owners, Policy, RolePolicy},
    usage::UsageLog,
};

mod build;

/// The default limit of a body in bytes, as Keystone's.
const BODY_LIMIT: usize = 114_688;

/// The default time in which a body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The default of how much a signed request's time may differ from the clock, as
/// Keystone's `auth_ttl`.
const MAX_SKEW: Duration = Duration::from_mins(15);

impl CredentialLayer {
    /// Creates a layer that serves every dialect of [`Dialect::ALL`] on its default
    /// prefix. Every setting of the [builder](CredentialLayer::builder) has its default.
    ///
    /// # Panics
    ///
    /// Never: the defaults are consistent.
    pub fn new(validator: impl TokenValidator, backend: impl CredentialBackend) -> Self {
        Self::builder(validator, backend).build().expect("the defaults are consistent")
    }

    /// Returns a builder of a layer with other settings than the default.
    pub fn builder(
        validator: impl TokenValidator,
        backend: impl CredentialBackend,
    ) -> CredentialLayerBuilder {
        CredentialLayerBuilder {
            validator: Arc::new(validator),
            backend: Arc::new(backend),
            dialects: Dialect::ALL.to_vec(),
            prefixes: Vec::new(),
            hosts: Vec::new(),
            base_url: None,
            trust_forwarded: false,
            trusted_origins: Vec::new(),
            policy: Arc::new(RolePolicy::default()),
            audit: Arc::new(TracingSink::new()),
            owners: Owners::with_roles(),
            issuer: None,
            usage: None,
            hide_unknown_keys: false,
            max_skew: MAX_SKEW,
            quota: Quota::Unlimited,
            max_key_life: None,
            show_secrets_once: false,
            accept_bounded: false,
            aws: None,
            body_limit: BODY_LIMIT,
            body_timeout: BODY_TIMEOUT,
            guessers: None,
            mint_limit: None,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Settings of a [`CredentialLayer`].
///
/// Each setter replaces the value that an earlier call of it set.
///
/// ```
/// use tower_credentials::{
///     CredentialLayer, Dialect, auth::StaticTokens, backend::memory::MemoryBackend, domain::Quota,
/// };
///
/// let layer = CredentialLayer::builder(StaticTokens::new(), MemoryBackend::default())
///     .dialects([Dialect::IbmCos])
///     .prefix(Dialect::IbmCos, "/keys")
///     .quota(Quota::AtMost(2))
///     .build()?;
/// # Ok::<(), tower_credentials::ConfigError>(())
/// ```
#[derive(Debug)]
#[must_use = "call `build` to get the layer"]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct CredentialLayerBuilder {
    validator: Arc<dyn TokenValidator>,
    backend: Arc<dyn CredentialBackend>,
    dialects: Vec<Dialect>,
    prefixes: Vec<(Dialect, String)>,
    hosts: Vec<String>,
    base_url: Option<String>,
    trust_forwarded: bool,
    trusted_origins: Vec<String>,
    policy: Arc<dyn Policy>,
    audit: Arc<dyn AuditSink>,
    owners: Owners,
    issuer: Option<Arc<dyn TokenIssuer>>,
    usage: Option<Arc<dyn UsageLog>>,
    hide_unknown_keys: bool,
    max_skew: Duration,
    quota: Quota,
    max_key_life: Option<Duration>,
    show_secrets_once: bool,
    accept_bounded: bool,
    aws: Option<AwsWires>,
    body_limit: usize,
    body_timeout: Duration,
    guessers: Option<Guessers>,
    mint_limit: Option<NonZeroU32>,
    clock: Arc<dyn Clock>,
}

impl CredentialLayerBuilder {
    /// Serves only these dialects.
    ///
    /// Default: [`Dialect::ALL`].
    pub fn dialects(mut self, dialects: impl IntoIterator<Item = Dialect>) -> Self {
        self.dialects = dialects.into_iter().collect();
        self
    }

    /// Sets the path of one dialect, if it is served.
    ///
    /// Default: [`Dialect::default_prefix`].
    pub fn prefix(mut self, dialect: Dialect, prefix: impl Into<String>) -> Self {
        self.prefixes.retain(|(known, _)| *known != dialect);
        self.prefixes.push((dialect, prefix.into()));
        self
    }

    /// Responds only to requests for these hosts. Case and a final dot do not count, nor
    /// does the port unless it is given here. Default: all hosts.
    ///
    /// For apps that are reached under several names and have paths of their own
    /// that look like these. The setting also keeps out pages whose host name resolves to
    /// this service without its owner's knowledge (DNS rebinding).
    pub fn hosts<I>(mut self, hosts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the start of links to this service, such as `https://keys.example.com`.
    /// Default: scheme and host of the request. The scheme is `https` if the request's extensions
    /// say that its connection is encrypted ([`ClientTls`](crate::ClientTls)).
    ///
    /// Needed behind a proxy that terminates TLS, a router that strips a prefix, or a proxy
    /// that replaces `Host`. Pages of this URL's scheme, host and port may change
    /// credentials (see [`trusted_origins`](Self::trusted_origins)).
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Sets whether links follow `Forwarded`, `X-Forwarded-Proto`, `X-Forwarded-Host` and
    /// `X-Forwarded-Prefix`. Default: no.
    ///
    /// The forwarded host and scheme then also decide which
    /// [origin](Self::trusted_origins) is the request's own.
    ///
    /// Only for services that are reachable through a proxy alone, if the proxy sets these
    /// headers. Otherwise any client could choose the links. A
    /// [`base_url`](Self::base_url) takes precedence.
    ///
    /// This is about the URL that the client used. The address of the client comes from
    /// [`ClientAddress`](crate::ClientAddress) alone, which a server sets with
    /// [`TrustedProxies`](crate::TrustedProxies). The two read different parts of `Forwarded`, and
    /// neither setting implies the other: links follow the leftmost proxy, because the client
    /// reached that one; an address counts from the right, because the left may be forged.
    pub fn trust_forwarded_headers(mut self, trust: bool) -> Self {
        self.trust_forwarded = trust;
        self
    }

    /// Lets pages of these origins change credentials, such as
    /// `https://console.example.com`. Default: only pages of the request's own host.
    ///
    /// A browser sends the credentials that it remembers for this service with the
    /// requests of any page. Therefore `POST`, `PUT`, `PATCH` and `DELETE` return 403 if
    ///
    /// - `Sec-Fetch-Site` is `cross-site`, or
    /// - `Origin` is not the request's own: the host and port of `Host` (in HTTP/2, of
    ///   `:authority`), or scheme, host and port of the [`base_url`](Self::base_url).
    ///   With [`trust_forwarded_headers`](Self::trust_forwarded_headers) the forwarded
    ///   host replaces `Host`, and the forwarded scheme must match.
    ///   `null`, a malformed origin and a second `Origin` are never the request's own,
    ///   nor is any origin if there are two `Host` headers.
    ///
    /// A request with one of these origins passes both checks. The layer makes them
    /// before all others. It does not check `GET`, `HEAD` and `OPTIONS`, nor requests
    /// without these headers: browsers send them with every change.
    ///
    /// The layer does not implement CORS. For a page to read the responses, and to send
    /// `X-Auth-Token` or a JSON body, a layer around this one must handle CORS for the
    /// same origins.
    pub fn trusted_origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.trusted_origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the policy, which decides who may do what. Default: [`RolePolicy`].
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Sets where the events of changes are recorded. Default: [`TracingSink`], which logs them.
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Arc::new(sink);
        self
    }

    /// Sets the directory that knows users, projects and memberships. Default: none, and
    /// every user and project exists. An [open](Directory::is_open) directory counts as
    /// none.
    ///
    /// With a directory, this layer answers `s3tokens`. It redeems a key only while the user
    /// and the project exist and are enabled, and the user has a role in the project; for a
    /// root key, only while the project is enabled. Answers about owners are remembered until
    /// the directory's [revision](Directory::revision) changes, or for one second if it
    /// reports none.
    ///
    /// Give the same directory to the layer that verifies requests (`S3AuthLayer`, feature
    /// `s3`), or a key still opens the store after its owner has left the project:
    ///
    /// ```
    /// # use tower_credentials::{
    /// #     CredentialLayer, auth::StaticTokens, backend::{Uncached, memory::MemoryBackend},
    /// #     directory::StaticDirectory, s3::S3AuthLayer,
    /// # };
    /// use std::sync::Arc;
    ///
    /// let (directory, keys) = (Arc::new(StaticDirectory::new()), MemoryBackend::default());
    /// let credentials = CredentialLayer::builder(StaticTokens::new(), keys.clone())
    ///     .directory(Arc::clone(&directory))
    ///     .build()?;
    /// let s3 = S3AuthLayer::builder(Uncached(keys)).directory(directory).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.owners = self.owners.with_directory(directory::unless_open(directory));
        self
    }

    /// Sets how long the directory's last answer about the owner of a key counts, beyond
    /// its age, while the directory cannot be asked. Default: 60 seconds. Zero: not at all.
    ///
    /// This setting is about `s3tokens` and `ec2tokens`. After that time they return 503. For
    /// a key without an earlier answer, or whose last answer was negative, they return 503
    /// from the start. Requests that create keys return 503 whenever the directory cannot be
    /// asked.
    pub fn directory_grace(mut self, grace: Duration) -> Self {
        self.owners = self.owners.with_grace(grace);
        self
    }

    /// Sets the issuer of the tokens that `ec2tokens` returns. `ec2tokens` also needs a
    /// directory. Default: none, and these requests go to the inner service.
    pub fn issuer(mut self, issuer: impl TokenIssuer) -> Self {
        self.issuer = Some(Arc::new(issuer));
        self
    }

    /// Sets the log that knows when keys were last used. Default: none.
    ///
    /// In IBM's dialect and v3, credentials that are shown, listed or changed then have a
    /// member `last_used`: `2026-01-02T03:04:05Z`, or null as long as no use is known. The
    /// response to a create does not have the member. Every caller who may see a key may see
    /// it. If the log fails, or takes longer than half a second, the member is left out. v2
    /// and OS-EC2 have no room for it.
    ///
    /// Clients cannot write the member. In v3 they may give a credential members of their
    /// own. A create drops such a member of this name, and a change ignores it. A member
    /// that was stored without a log is kept but hidden, and shown again without a log.
    ///
    /// A [`UsageRecorder`](crate::usage::UsageRecorder) fills the log. The code that verifies
    /// signatures reports each use to the recorder.
    pub fn usage(mut self, log: impl UsageLog) -> Self {
        self.usage = Some(Arc::new(log));
        self
    }

    /// Sets whether `s3tokens` and `ec2tokens` return 401 for an unknown access key, as for
    /// a wrong signature. Default: no. They return 404, as Keystone does: Ceph RGW needs
    /// that status to return `InvalidAccessKeyId` to its client.
    pub fn hide_unknown_keys(mut self, hide: bool) -> Self {
        self.hide_unknown_keys = hide;
        self
    }

    /// Sets how much the time of a signed request that `s3tokens` or `ec2tokens` verifies
    /// may differ from the clock, in either direction. Default: 15 minutes, as Keystone's
    /// `auth_ttl`.
    ///
    /// This also limits presigned URLs of AWS version 4: the string to sign contains the
    /// signing time but not the expiry.
    pub fn max_skew(mut self, skew: Duration) -> Self {
        self.max_skew = skew;
        self
    }

    /// Sets how many credentials one user may have. Default: [`Quota::Unlimited`].
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = quota;
        self
    }

    /// Sets the longest time from the creation of a key pair to its expiry. Default: none.
    ///
    /// A new key pair without an expiry ends after this time. A create or a change with a later
    /// expiry returns 400, for admins too. Existing key pairs are not changed.
    pub fn max_key_life(mut self, life: Duration) -> Self {
        self.max_key_life = Some(life);
        self
    }

    /// Sets whether only the response to a create or a rotation shows a secret. Default: no.
    /// Callers see the secrets of their keys in every response, as in the sources of the
    /// dialects.
    ///
    /// Callers with the role `service` still see secrets if the policy
    /// [lets them](crate::policy::RolePolicy::service_sees_key_pairs).
    pub fn show_secrets_once(mut self, once: bool) -> Self {
        self.show_secrets_once = once;
        self
    }

    /// Sets whether `s3tokens` and `ec2tokens` accept keys with a boundary. Default: no. They
    /// return 401 for such a key.
    ///
    /// Only for gateways that enforce the member `boundary` of the response. A gateway that does
    /// not know it lets the key do everything that its owner may.
    pub fn accept_bounded(mut self, accept: bool) -> Self {
        self.accept_bounded = accept;
        self
    }

    /// Serves the [AWS wires](crate::aws) too: STS and IAM. Default: they go to the inner service.
    pub fn aws(mut self, wires: AwsWires) -> Self {
        self.aws = Some(wires);
        self
    }

    /// Sets the limit of a request's body, in bytes. Default: 114,688.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets the time in which a body must arrive. Default: 30 seconds.
    ///
    /// The timeout uses tokio's timer: the layer's own responses need a tokio runtime with
    /// time enabled.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Answers callers late that guess at tokens, or at the secrets of keys. Default: no.
    ///
    /// See the module [`guessers`](crate::guessers). Give the same one to the layer that verifies
    /// requests.
    pub fn guessers(mut self, guessers: Guessers) -> Self {
        self.guessers = Some(guessers);
        self
    }

    /// Sets how many credentials and sessions one caller may create in one minute of the clock.
    /// Default: no limit.
    ///
    /// Creates, rotations with an overlap, and sessions of the [AWS wires](crate::aws) count
    /// together, for the user who sends the request. A create that the store rejects counts too.
    /// Beyond the limit, v2, v3 and OS-EC2 return 429, IBM's dialect returns 503, both with
    /// `Retry-After`, and the AWS wires return `Throttling`. The counts take 256 KiB, enough for
    /// about 15,000 callers in a minute; if more create credentials, those with the fewest are
    /// forgotten.
    pub fn mint_limit(mut self, per_minute: NonZeroU32) -> Self {
        self.mint_limit = Some(per_minute);
        self
    }

    /// Sets the source of the current time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}
