//! [`CredentialLayerBuilder`]: the settings of a layer.

use std::{sync::Arc, time::Duration};

use crate::{
    auth::TokenValidator,
    authority::Authority,
    backend::CredentialBackend,
    clock::{Clock, SystemClock},
    config::{self, ConfigError},
    dialect::{Dialect, Served},
    directory::{self, Directory},
    domain::Quota,
    issuer::TokenIssuer,
    layer::CredentialLayer,
    origin::Origins,
    policy::{Owners, Policy, RolePolicy},
    shared::Shared,
    usage::UsageLog,
};

/// Bodies larger than this are refused unless the builder says otherwise:
/// Keystone's own limit.
const BODY_LIMIT: usize = 114_688;

/// Bodies that take longer than this are refused unless the builder says otherwise.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Signed requests that are older than this are refused unless the builder says
/// otherwise: Keystone's own `auth_ttl`.
const MAX_SKEW: Duration = Duration::from_mins(15);

impl CredentialLayer {
    /// A layer that answers every dialect of [`Dialect::ALL`] on its default
    /// prefix, with the default of every setting of the
    /// [builder](CredentialLayer::builder).
    ///
    /// # Panics
    ///
    /// Never: the defaults are consistent.
    pub fn new(validator: impl TokenValidator, backend: impl CredentialBackend) -> Self {
        Self::builder(validator, backend).build().expect("the defaults are consistent")
    }

    /// Starts a layer that differs from the default.
    pub fn builder(
        validator: impl TokenValidator,
        backend: impl CredentialBackend,
    ) -> CredentialLayerBuilder {
        CredentialLayerBuilder {
            validator: Arc::new(validator),
            backend: Arc::new(backend),
            dialects: default_prefixes(Dialect::ALL.iter().copied()),
            hosts: Vec::new(),
            base_url: None,
            trust_forwarded: false,
            trusted_origins: Vec::new(),
            policy: Arc::new(RolePolicy::default()),
            owners: Owners::with_roles(),
            issuer: None,
            usage: None,
            hide_unknown_keys: false,
            max_skew: MAX_SKEW,
            quota: Quota::Unlimited,
            body_limit: BODY_LIMIT,
            body_timeout: BODY_TIMEOUT,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Settings of a [`CredentialLayer`].
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
pub struct CredentialLayerBuilder {
    validator: Arc<dyn TokenValidator>,
    backend: Arc<dyn CredentialBackend>,
    dialects: Vec<(Dialect, String)>,
    hosts: Vec<String>,
    base_url: Option<String>,
    trust_forwarded: bool,
    trusted_origins: Vec<String>,
    policy: Arc<dyn Policy>,
    owners: Owners,
    issuer: Option<Arc<dyn TokenIssuer>>,
    usage: Option<Arc<dyn UsageLog>>,
    hide_unknown_keys: bool,
    max_skew: Duration,
    quota: Quota,
    body_limit: usize,
    body_timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl CredentialLayerBuilder {
    /// Answers only these dialects, each on its default prefix.
    ///
    /// Default: [`Dialect::ALL`].
    pub fn dialects(mut self, dialects: impl IntoIterator<Item = Dialect>) -> Self {
        self.dialects = default_prefixes(dialects);
        self
    }

    /// Puts a dialect under another path; adds it if it is not answered yet.
    ///
    /// Default: [`Dialect::default_prefix`].
    pub fn prefix(mut self, dialect: Dialect, prefix: impl Into<String>) -> Self {
        self.dialects.retain(|(known, _)| *known != dialect);
        self.dialects.push((dialect, prefix.into()));
        self
    }

    /// Answers only requests for these hosts, compared without regard to case and to a
    /// dot at the end, and without the port unless one is given here.
    ///
    /// For apps that are reached under several names and have paths of their own
    /// that look like these. It also keeps out pages whose host name resolves to this
    /// service without its owner's knowledge (DNS rebinding). Default: all hosts.
    pub fn hosts<I>(mut self, hosts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// What links to this service start with, such as `https://keys.example.com`.
    ///
    /// Needed behind a proxy that ends TLS or a router that strips a prefix, and behind a
    /// proxy that replaces `Host`: pages of this URL's scheme, host and port may change
    /// something (see [`trusted_origins`](Self::trusted_origins)).
    /// Default: scheme and host of the request.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Whether links follow `Forwarded`, `X-Forwarded-Proto`, `X-Forwarded-Host` and
    /// `X-Forwarded-Prefix`.
    ///
    /// The forwarded host and scheme then also decide which
    /// [origin](Self::trusted_origins) is the request's own.
    ///
    /// Only for services that nobody reaches but through a proxy that sets these
    /// headers: otherwise any client chooses what links look like. A
    /// [`base_url`](Self::base_url) wins. Default: no.
    pub fn trust_forwarded_headers(mut self, trust: bool) -> Self {
        self.trust_forwarded = trust;
        self
    }

    /// Lets pages of these origins change credentials, such as
    /// `https://console.example.com`. Default: only pages of the request's own host.
    ///
    /// A browser sends the credentials that it remembers for this service with the
    /// requests of any page. So `POST`, `PUT`, `PATCH` and `DELETE` return 403 if
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

    /// Who may do what. Default: [`RolePolicy`].
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Arc::new(policy);
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
    /// #     CredentialLayer, auth::StaticTokens, backend::{Direct, memory::MemoryBackend},
    /// #     directory::StaticDirectory, s3::S3AuthLayer,
    /// # };
    /// use std::sync::Arc;
    ///
    /// let (directory, keys) = (Arc::new(StaticDirectory::new()), MemoryBackend::default());
    /// let credentials = CredentialLayer::builder(StaticTokens::new(), keys.clone())
    ///     .directory(Arc::clone(&directory))
    ///     .build()?;
    /// let s3 = S3AuthLayer::builder(Direct(keys)).directory(directory).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.owners = self.owners.with_directory(directory::unless_open(directory));
        self
    }

    /// Sets how long the directory's last answer about the owner of a key counts, beyond
    /// its age, while the directory cannot be asked. Default: 60 seconds. Zero: not at all.
    ///
    /// This is about `s3tokens` and `ec2tokens`. After that time they answer 503; for a key
    /// that was never asked for, or whose last answer was negative, from the start.
    /// Requests that create keys are answered with 503 whenever the directory cannot be
    /// asked.
    pub fn directory_grace(mut self, grace: Duration) -> Self {
        self.owners = self.owners.with_grace(grace);
        self
    }

    /// Who issues the tokens of `ec2tokens`. Default: nobody, so that these
    /// requests go to the inner service. A directory is needed too.
    pub fn issuer(mut self, issuer: impl TokenIssuer) -> Self {
        self.issuer = Some(Arc::new(issuer));
        self
    }

    /// Tells when keys were last used, from this log. Default: nobody is told.
    ///
    /// What IBM's dialect and v3 show, list and change then has a member `last_used`:
    /// `2026-01-02T03:04:05Z`, or null as long as no use is known. The answer to a create
    /// has none. Whoever may see a key may see it. When the log fails, or takes longer
    /// than half a second, the member is left out. v2 and OS-EC2 have no room for it.
    ///
    /// Clients cannot write it. In v3, where they may give a credential members of their
    /// own, one of this name is dropped from a create, and no matter in a change; one that
    /// was stored without a log is kept, hidden, and shown again when there is none.
    ///
    /// The log is filled by a [`UsageRecorder`](crate::usage::UsageRecorder) that
    /// whoever checks signatures tells of each use.
    pub fn usage(mut self, log: impl UsageLog) -> Self {
        self.usage = Some(Arc::new(log));
        self
    }

    /// Whether `s3tokens` and `ec2tokens` answer an unknown access key as they
    /// answer a wrong signature, with 401. Default: no, it is 404, which Keystone
    /// answers and which Ceph RGW needs to tell its client `InvalidAccessKeyId`.
    pub fn hide_unknown_keys(mut self, hide: bool) -> Self {
        self.hide_unknown_keys = hide;
        self
    }

    /// How old a request may be whose signature `s3tokens` or `ec2tokens` validates,
    /// and how far ahead of the clock. Default: 15 minutes, as Keystone's `auth_ttl`.
    ///
    /// Presigned URLs of AWS version 4 hold no longer either: what is signed of them
    /// tells when they were signed, and not until when they are good.
    pub fn max_skew(mut self, age: Duration) -> Self {
        self.max_skew = age;
        self
    }

    /// How many credentials one user may hold. Default: [`Quota::Unlimited`].
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = quota;
        self
    }

    /// The largest body that is read, in bytes. Default: 114,688.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// How long a body may take to arrive. Default: 30 seconds.
    ///
    /// Measured with tokio's timer: the layer's own answers need a tokio runtime
    /// with time enabled.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Where the time comes from. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Finishes the layer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if no request could ever be answered as configured.
    pub fn build(self) -> Result<CredentialLayer, ConfigError> {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self {
            validator,
            backend,
            dialects,
            hosts,
            base_url,
            trust_forwarded,
            trusted_origins,
            policy,
            owners,
            issuer,
            usage,
            hide_unknown_keys,
            max_skew,
            quota,
            body_limit,
            body_timeout,
            clock,
        } = self;
        config::check_prefixes(&dialects)?;
        if body_limit == 0 {
            return Err(ConfigError::ZeroBodyLimit);
        }
        if body_timeout.is_zero() {
            return Err(ConfigError::ZeroBodyTimeout);
        }
        let base_url = base_url.map(|url| url.trim_end_matches('/').to_owned());
        let base = base_url.as_deref().map(config::origin_of_url).transpose()?;
        let origins =
            Origins { base, trusted: config::parsed_origins(&trusted_origins)?, trust_forwarded };
        let hosts = config::parsed_hosts(&hosts)?;
        let s3tokens = owners.directory().is_some();
        let served = Served { s3tokens, ec2tokens: s3tokens && issuer.is_some() };
        let authority = Authority {
            backend,
            owners,
            issuer,
            usage,
            policy,
            clock,
            quota,
            hide_unknown_keys,
            max_skew,
        };
        let shared = Shared {
            authority,
            validator,
            dialects,
            hosts,
            origins,
            base_url,
            trust_forwarded,
            served,
            body_limit,
            body_timeout,
        };
        Ok(CredentialLayer { shared: Arc::new(shared) })
    }
}

fn default_prefixes(dialects: impl IntoIterator<Item = Dialect>) -> Vec<(Dialect, String)> {
    let with_prefix = |dialect: Dialect| (dialect, dialect.default_prefix().to_owned());
    dialects.into_iter().map(with_prefix).collect()
}
