//! [`S3AuthLayer`] and its builder.

use std::{sync::Arc, time::Duration};

use tower::Layer;

use super::{
    buffers::{self, Buffers},
    counting::Verifications,
    enforcement::{ACCOUNT, Enforcement},
    rules::{Anonymous, KeyRules, S3ConfigError, SignatureRules, signature_settings},
    service::S3AuthService,
    sessions::Sessions,
    signing_keys::SigningKeys,
    verifier::Verifier,
};
use crate::{
    backend::KeySource,
    clock::{Clock, SystemClock},
    directory::{self, Directory},
    guessers::Guessers,
    operation::S3OperationRules,
    usage::UsageRecorder,
};

/// The number of cached signing keys.
const SIGNING_KEYS: usize = 10_000;

/// The memory for cached sessions, in bytes.
const SESSIONS: usize = 16 << 20;

/// Applies [`S3AuthService`] to a service.
///
/// Cheap to clone: clones share the keys and the caches. See the [module's documentation](super)
/// for an example.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct S3AuthLayer {
    verifier: Arc<Verifier>,
}

impl S3AuthLayer {
    /// Creates a layer with the default of every setting.
    pub fn new(keys: impl KeySource) -> Self {
        Self { verifier: Arc::new(S3AuthLayerBuilder::new(keys).verifier()) }
    }

    /// Returns a builder for a layer with other settings.
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

/// Builds an [`S3AuthLayer`].
///
/// Each setter replaces the value that an earlier call of it set.
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct S3AuthLayerBuilder {
    keys: Arc<dyn KeySource>,
    rules: KeyRules,
    usage: Option<UsageRecorder>,
    clock: Arc<dyn Clock>,
    signatures: SignatureRules,
    hide_unknown_keys: bool,
    sessions: usize,
    signing_keys: usize,
    operations: S3OperationRules,
    buffers: usize,
    account_id: String,
    guessers: Option<Guessers>,
}

signature_settings!(S3AuthLayerBuilder);

impl S3AuthLayerBuilder {
    fn new(keys: impl KeySource) -> Self {
        Self {
            keys: Arc::new(keys),
            rules: KeyRules::default(),
            usage: None,
            clock: Arc::new(SystemClock),
            signatures: SignatureRules::new(Anonymous::Refuse),
            hide_unknown_keys: false,
            sessions: SESSIONS,
            signing_keys: SIGNING_KEYS,
            operations: S3OperationRules::new(),
            buffers: buffers::TOTAL,
            account_id: ACCOUNT.into(),
            guessers: None,
        }
    }

    /// Sets what happens to requests without a signature. Default: [`Anonymous::Refuse`].
    pub fn anonymous(mut self, anonymous: Anonymous) -> Self {
        self.signatures.anonymous = anonymous;
        self
    }

    /// Sets whether a key that does not exist or may not be used is refused with
    /// `SignatureDoesNotMatch`, like a wrong signature. Default: `false`. Such a key is refused
    /// with `InvalidAccessKeyId`, as in S3.
    ///
    /// Both cost the same number of hash blocks either way. The response time still reveals
    /// whether the key was looked up recently.
    pub fn hide_unknown_keys(mut self, hide: bool) -> Self {
        self.hide_unknown_keys = hide;
        self
    }

    /// Sets whether keys that are bound to a [delegation](crate::domain::Delegation) may sign.
    /// Default: `false`. Such a key may do less than its owner, and only the app can enforce
    /// that.
    pub fn accept_delegated(mut self, accept: bool) -> Self {
        self.rules.accept_delegated = accept;
        self
    }

    /// Sets the directory that knows users, projects and memberships. With a directory, a
    /// key verifies only while [its owner may use it](super#what-is-verified): give the
    /// same one to [`CredentialLayer`](crate::CredentialLayer). Default: none, and keys
    /// verify even if their owner does not exist. An [open](Directory::is_open) directory counts
    /// as none.
    ///
    /// The directory is asked after the signature has been verified. Its answer is
    /// cached for up to 10,000 keys: until its [revision](Directory::revision) changes,
    /// or for one second if it reports none. So a change in the directory takes effect with
    /// the next request, or within the directory's own stated age plus one second.
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.rules.owners = self.rules.owners.with_directory(directory::unless_open(directory));
        self
    }

    /// Sets how long the directory's last answer counts, beyond its age, during an outage of
    /// the directory. Default: 60 seconds. Zero: not at all.
    ///
    /// After that time, requests with the key are refused with 503 until the directory is
    /// available again. Requests with a key that the directory was never asked about, or whose
    /// last answer was negative, are refused with 503 from the start of the outage.
    pub fn directory_grace(mut self, grace: Duration) -> Self {
        self.rules.owners = self.rules.owners.with_grace(grace);
        self
    }

    /// Records the last use of each key with a valid signature. Default: no recorder.
    pub fn usage(mut self, usage: UsageRecorder) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Sets the number of cached signing keys. Default: 10,000, which take about 5 MB (some 500
    /// bytes each).
    pub fn signing_keys(mut self, count: usize) -> Self {
        self.signing_keys = count;
        self
    }

    /// Sets the memory for what is derived for sessions, in bytes. Default: 16 MiB, which is enough
    /// for about 10,000 sessions without a policy in use.
    pub fn session_cache(mut self, bytes: usize) -> Self {
        self.sessions = bytes;
        self
    }

    /// Sets how the store reads requests, for keys with a boundary. Default:
    /// [`S3OperationRules::new`].
    ///
    /// The base domains are those of [`base_domains`](Self::base_domains).
    pub fn operations(mut self, rules: S3OperationRules) -> Self {
        self.operations = rules;
        self
    }

    /// Sets the account in the ARNs that boundaries compare: that of
    /// [`AwsWires::account_id`](crate::aws::AwsWires::account_id). Default: `000000000000`.
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.account_id = id.into();
        self
    }

    /// Sets the memory for the bodies of `DeleteObjects` that are read to check their keys, in
    /// bytes. Default: 64 MiB.
    ///
    /// The owner of a key gets at most an eighth, but enough for one body of 2 MiB. The
    /// [form timeout](Self::form_timeout) limits how long a body may take. Further requests are refused with 503
    /// `SlowDown`.
    pub fn deletion_buffers(mut self, bytes: usize) -> Self {
        self.buffers = bytes;
        self
    }

    /// Answers clients late that guess at secrets. Default: no.
    ///
    /// See the module [`guessers`](crate::guessers).
    pub fn guessers(mut self, guessers: Guessers) -> Self {
        self.guessers = Some(guessers);
        self
    }

    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// [`S3ConfigError`] if a region or a base domain is malformed, or the form timeout is zero.
    pub fn build(self) -> Result<S3AuthLayer, S3ConfigError> {
        self.signatures.validate()?;
        Ok(S3AuthLayer { verifier: Arc::new(self.verifier()) })
    }

    pub(super) fn verifier(self) -> Verifier {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self {
            keys,
            rules,
            usage,
            clock,
            signatures,
            hide_unknown_keys,
            sessions,
            signing_keys,
            operations,
            buffers,
            account_id,
            guessers,
        } = self;
        let operations = operations.base_domains(&signatures.base_domains);
        Verifier {
            keys,
            rules,
            sessions: Sessions::new(sessions),
            signing_keys: SigningKeys::new(signing_keys),
            usage,
            clock,
            signatures,
            hide_unknown_keys,
            enforcement: Enforcement { account_id, operations, buffers: Buffers::new(buffers) },
            guessers,
            verifications: Verifications::new(),
        }
    }
}
