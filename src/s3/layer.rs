//! [`S3AuthLayer`] and its builder.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use tower::Layer;

use super::{
    rules::Rules, service::S3AuthService, signature_rules::SignatureRules,
    signing_keys::SigningKeys, verifier::Verifier,
};
use crate::{
    backend::KeySource,
    clock::{Clock, SystemClock},
    directory::{self, Directory},
    usage::UsageRecorder,
};

/// How many derived keys are remembered.
const SIGNING_KEYS: usize = 10_000;

/// Applies [`S3AuthService`] to a service.
///
/// Cheap to clone: clones share the keys and what is remembered of them. See the
/// [module's documentation](super) for an example.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct S3AuthLayer {
    verifier: Arc<Verifier>,
}

impl S3AuthLayer {
    /// A layer with the default of every setting.
    pub fn new(keys: impl KeySource) -> Self {
        Self { verifier: Arc::new(S3AuthLayerBuilder::new(keys).verifier()) }
    }

    /// Starts a layer that differs from the default.
    pub fn builder(keys: impl KeySource) -> S3AuthLayerBuilder {
        S3AuthLayerBuilder::new(keys)
    }
}

impl<S> Layer<S> for S3AuthLayer {
    type Service = S3AuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        S3AuthService::new(inner, Arc::clone(&self.verifier))
    }
}

/// What happens to requests that nobody signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// They reach the app, without a [`VerifiedKey`](super::VerifiedKey).
    Pass,
    /// They are answered `AccessDenied`.
    #[default]
    Refuse,
}

/// Builds an [`S3AuthLayer`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct S3AuthLayerBuilder {
    keys: Arc<dyn KeySource>,
    rules: Rules,
    usage: Option<UsageRecorder>,
    clock: Arc<dyn Clock>,
    signatures: SignatureRules,
    hide_unknown_keys: bool,
    signing_keys: usize,
}

impl S3AuthLayerBuilder {
    fn new(keys: impl KeySource) -> Self {
        Self {
            keys: Arc::new(keys),
            rules: Rules::default(),
            usage: None,
            clock: Arc::new(SystemClock),
            signatures: SignatureRules::new(Anonymous::Refuse),
            hide_unknown_keys: false,
            signing_keys: SIGNING_KEYS,
        }
    }

    /// What happens to requests that nobody signed. Default: [`Anonymous::Refuse`].
    pub fn anonymous(mut self, anonymous: Anonymous) -> Self {
        self.signatures.anonymous = anonymous;
        self
    }

    /// Admits signatures for this region, and for those that were named before. Default:
    /// for any.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.signatures.regions.push(region.into());
        self
    }

    /// A host below which buckets are hosts: with `s3.example.org`, the host
    /// `photos.s3.example.org` stands for the bucket `photos`. May be called more than
    /// once. Default: none.
    ///
    /// Version 4 signs the host and needs none of this. Version 2 and forms sign the
    /// bucket.
    pub fn base_domain(mut self, domain: impl Into<String>) -> Self {
        self.signatures.base_domains.push(domain.into().to_ascii_lowercase());
        self
    }

    /// Whether AWS Signature Version 2 is admitted. Default: it is not, as in Amazon's
    /// newer regions: see [what it does not sign](crate::signature::request).
    pub fn signature_v2(mut self, admit: bool) -> Self {
        self.signatures.signature_v2 = admit;
        self
    }

    /// Whether a key that is not there, or may not be used, is answered
    /// `SignatureDoesNotMatch` like a wrong signature. Default: `InvalidAccessKeyId`, as
    /// in S3.
    ///
    /// Either way both are hashed for as much. What an answer still tells by its time is
    /// whether the key was looked up lately.
    pub fn hide_unknown_keys(mut self, hide: bool) -> Self {
        self.hide_unknown_keys = hide;
        self
    }

    /// Whether keys that are bound to a [delegation](crate::domain::Delegation) may
    /// sign. Default: they may not, since what such a key may do is less than what its
    /// owner may, and only the app can see to that.
    pub fn accept_delegated(mut self, accept: bool) -> Self {
        self.rules.accept_delegated = accept;
        self
    }

    /// Sets the directory that knows users, projects and memberships. With a directory, a
    /// key verifies only while [its owner may use it](super#what-is-verified): give the
    /// same one to [`CredentialLayer`](crate::CredentialLayer). Default: none, and keys
    /// verify whatever becomes of their owners. An
    /// [open](Directory::is_open) directory counts as none.
    ///
    /// The directory is asked after the signature has been verified. Its answer is
    /// remembered for up to 10,000 keys: until its [revision](Directory::revision) changes,
    /// or for one second if it reports none. So a change in the directory takes effect with
    /// the next request, or within the directory's own stated age plus one second.
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.rules.owners = self.rules.owners.with_directory(directory::unless_open(directory));
        self
    }

    /// Sets how long the directory's last answer counts, beyond its age, while the
    /// directory cannot be asked. Default: 60 seconds. Zero: not at all.
    ///
    /// After that time, requests with the key are answered with 503 until the directory can
    /// be asked again. So are requests with a key that was never asked for, or whose last
    /// answer was negative, from the start.
    pub fn directory_grace(mut self, grace: Duration) -> Self {
        self.rules.owners = self.rules.owners.with_grace(grace);
        self
    }

    /// Notes the use of each key whose signature proved right. Default: nobody does.
    pub fn usage(mut self, usage: UsageRecorder) -> Self {
        self.usage = Some(usage);
        self
    }

    /// How long ago, and how far in the future, a request may have been signed that is
    /// not presigned. Default: 15 minutes.
    pub fn max_skew(mut self, skew: Duration) -> Self {
        self.signatures.max_skew = skew;
        self
    }

    /// How many derived signing keys are remembered. Default: 10,000, which take about
    /// 5 MB: some 500 bytes each.
    pub fn signing_keys(mut self, count: usize) -> Self {
        self.signing_keys = count;
        self
    }

    /// How long the fields of a form upload may take to arrive. Default: 30 seconds.
    ///
    /// Measured with tokio's timer: forms need a tokio runtime with time enabled.
    pub fn form_timeout(mut self, timeout: Duration) -> Self {
        self.signatures.form_timeout = timeout;
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
    /// [`S3ConfigError`] if no request could ever be verified as configured.
    pub fn build(self) -> Result<S3AuthLayer, S3ConfigError> {
        self.signatures.validate()?;
        Ok(S3AuthLayer { verifier: Arc::new(self.verifier()) })
    }

    pub(super) fn verifier(self) -> Verifier {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self { keys, rules, usage, clock, signatures, hide_unknown_keys, signing_keys } = self;
        Verifier {
            keys,
            rules,
            signing_keys: SigningKeys::new(signing_keys),
            usage,
            clock,
            signatures,
            hide_unknown_keys,
        }
    }
}

/// Why a layer cannot be built as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum S3ConfigError {
    /// A base domain is empty, or has a port, a path or a dot in front.
    InvalidBaseDomain,
    /// A region is empty or holds a slash.
    InvalidRegion,
    /// No form could ever arrive in time.
    ZeroFormTimeout,
}

impl fmt::Display for S3ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidBaseDomain => "a base domain must be a host name, without a port",
            Self::InvalidRegion => "a region must not be empty or hold a slash",
            Self::ZeroFormTimeout => "a form timeout of zero accepts no form",
        })
    }
}

impl StdError for S3ConfigError {}
