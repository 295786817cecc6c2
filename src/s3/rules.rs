//! Which keys and which signatures a data plane accepts.

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::refusal::Refusal;
use crate::{
    directory::DirectoryError,
    domain::Credential,
    operation,
    policy::{Owners, Remembered, Standing},
    signature::{
        CredentialScope,
        form::SignedForm,
        format_amz,
        request::{RequestError, RequestHead, S3ErrorCode, SignedRequest, V4Request},
    },
};

/// The largest difference between the clocks of client and server, as in S3.
pub(super) const MAX_SKEW: Duration = Duration::from_mins(15);

/// How long the fields of a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);

/// What happens to requests without a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anonymous {
    /// They reach the app, without a [`VerifiedKey`](super::VerifiedKey).
    Pass,
    /// They are rejected with `AccessDenied`.
    #[default]
    Refuse,
}

/// Which keys may sign: active ones with a secret and without a delegation, whose owner may
/// use them now.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyRules {
    /// Whether keys that are bound to a delegation may sign too.
    pub(super) accept_delegated: bool,
    /// Checks whether a key's owner may use it.
    pub(super) owners: Owners,
}

impl KeyRules {
    /// Returns whether the key itself may sign. A key that may not is treated like one that
    /// does not exist.
    pub(super) fn may_sign(&self, credential: &Credential, now: SystemTime) -> bool {
        credential.is_usable(now) && (self.accept_delegated || credential.delegation.is_none())
    }

    /// Returns what is remembered about the key's owner. `None` without a directory.
    pub(super) fn owner_of(&self, credential: &Credential) -> Option<Arc<Remembered>> {
        self.owners.remembered(credential)
    }

    /// Returns whether the key's owner is known to be allowed to use it now, without asking the
    /// directory.
    pub(super) fn owner_is_known(&self, owner: Option<&Remembered>, now: SystemTime) -> bool {
        owner.is_none_or(|owner| self.owners.is_good(owner, now))
    }

    /// Returns whether the key's owner may use it now. Asks the directory if necessary.
    pub(super) async fn owner_may_use(
        &self,
        credential: &Credential,
        owner: Option<&Remembered>,
        now: SystemTime,
    ) -> Result<bool, DirectoryError> {
        let Some(owner) = owner else { return Ok(true) };
        let standing = self.owners.look_up(credential, owner, now).await?;
        Ok(standing.is_none_or(|standing| matches!(*standing, Standing::Good(_))))
    }
}

/// What a data plane checks of a request before it looks up the key. The layer and the guard
/// share these checks, so that a signature means the same in front of every store.
#[derive(Debug)]
pub(super) struct SignatureRules {
    /// What happens to requests without a signature.
    pub(super) anonymous: Anonymous,
    /// The accepted regions. An empty list accepts every region.
    pub(super) regions: Vec<String>,
    /// The domains whose subdomains name buckets.
    pub(super) base_domains: Vec<String>,
    pub(super) signature_v2: bool,
    pub(super) max_skew: Duration,
    pub(super) form_timeout: Duration,
}

impl SignatureRules {
    /// Returns the defaults of every data plane.
    pub(super) fn new(anonymous: Anonymous) -> Self {
        Self {
            anonymous,
            regions: Vec::new(),
            base_domains: Vec::new(),
            signature_v2: false,
            max_skew: MAX_SKEW,
            form_timeout: FORM_TIMEOUT,
        }
    }

    /// Rejects settings under which no request could verify.
    pub(super) fn validate(&self) -> Result<(), S3ConfigError> {
        if self.regions.iter().any(|region| region.is_empty() || region.contains('/')) {
            return Err(S3ConfigError::InvalidRegion);
        }
        let malformed = |domain: &String| {
            domain.is_empty() || domain.contains([':', '/']) || domain.starts_with('.')
        };
        if self.base_domains.iter().any(malformed) {
            return Err(S3ConfigError::InvalidBaseDomain);
        }
        if self.form_timeout.is_zero() {
            return Err(S3ConfigError::ZeroFormTimeout);
        }
        Ok(())
    }

    /// Checks whether a request without a signature may pass.
    ///
    /// A session token without a signature is a mistake that must not pass as anonymous.
    pub(super) fn check_anonymous(&self, has_token: bool) -> Result<(), Refusal> {
        match self.anonymous {
            Anonymous::Pass if !has_token => Ok(()),
            Anonymous::Pass | Anonymous::Refuse => Err(Refusal::anonymous()),
        }
    }

    /// Checks the version, the region and the time of a signed request.
    pub(super) fn check(&self, signed: &SignedRequest<'_>, now: SystemTime) -> Result<(), Refusal> {
        match signed {
            SignedRequest::V2(request) => {
                if !self.signature_v2 {
                    return Err(RequestError::unsupported().into());
                }
                request.check_time(now, self.max_skew).map_err(|error| self.untimely(error, now))
            }
            SignedRequest::V4(request) => {
                self.check_region(request)?;
                request.check_time(now, self.max_skew).map_err(|error| self.untimely(error, now))
            }
        }
    }

    /// Checks the version and the region of a form. Its policy contains its expiry.
    pub(super) fn check_form(&self, signed: &SignedForm) -> Result<(), Refusal> {
        match signed.scope() {
            None if signed.session_token().is_some() => Err(RequestError::session_token().into()),
            Some(scope) => self.check_region_of(&scope, S3ErrorCode::InvalidArgument),
            None if self.signature_v2 => Ok(()),
            None => Err(RequestError::unsupported().into()),
        }
    }

    /// Returns the bucket that the host names, in lower case. `None` without a base domain.
    pub(super) fn bucket_of(&self, head: RequestHead<'_>) -> Result<Option<String>, Refusal> {
        if self.base_domains.is_empty() {
            return Ok(None);
        }
        let bucket = operation::bucket_below(head.host()?, &self.base_domains);
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
        match bucket {
            Some(bucket) if bucket.is_empty() || !bucket.bytes().all(allowed) => {
                let message = "The host names no valid bucket.";
                Err(Refusal::new(S3ErrorCode::InvalidRequest, message))
            }
            bucket => Ok(bucket.map(Cow::into_owned)),
        }
    }

    /// Returns the refusal of a request that is too early or too late, with the server's time.
    fn untimely(&self, error: RequestError, now: SystemTime) -> Refusal {
        let refusal = Refusal::from(error).with("ServerTime", format_amz(now));
        if error.code() == S3ErrorCode::RequestTimeTooSkewed {
            let skew = self.max_skew.as_millis().to_string();
            return refusal.with("MaxAllowedSkewMilliseconds", skew);
        }
        refusal
    }

    fn check_region(&self, request: &V4Request<'_>) -> Result<(), Refusal> {
        let code = match request.expires_in() {
            None => S3ErrorCode::AuthorizationHeaderMalformed,
            Some(_) => S3ErrorCode::AuthorizationQueryParametersError,
        };
        self.check_region_of(&request.scope(), code)
    }

    fn check_region_of(
        &self,
        scope: &CredentialScope<'_>,
        code: S3ErrorCode,
    ) -> Result<(), Refusal> {
        let Some(expected) = self.regions.first() else { return Ok(()) };
        if self.regions.iter().any(|region| region == scope.region()) {
            return Ok(());
        }
        let message = format!("The signature is for a wrong region; expecting '{expected}'.");
        Err(Refusal::new(code, message).with("Region", expected))
    }
}

/// The setters of a builder with `signatures` and `clock`.
macro_rules! signature_settings {
    ($builder:ident) => {
        impl $builder {
            /// Sets the accepted regions. The refusal of another region names the first of them.
            /// Default: none, and every region is accepted.
            pub fn regions<I>(mut self, regions: I) -> Self
            where
                I: IntoIterator,
                I::Item: Into<String>,
            {
                self.signatures.regions = regions.into_iter().map(Into::into).collect();
                self
            }

            /// Sets the domains whose subdomains name buckets: with `s3.example.org`, the host
            /// `photos.s3.example.org` names the bucket `photos`. Default: none.
            ///
            /// Version 2 and forms sign the bucket and need this. Version 4 signs the host.
            pub fn base_domains<I>(mut self, domains: I) -> Self
            where
                I: IntoIterator,
                I::Item: Into<String>,
            {
                let domains = domains.into_iter().map(Into::into);
                self.signatures.base_domains =
                    domains.map(|domain: String| domain.to_ascii_lowercase()).collect();
                self
            }

            /// Sets whether AWS Signature Version 2 is accepted. Default: `false`, as in Amazon's
            /// newer regions. See
            /// [what version 2 does not sign](crate::signature::request#version-2).
            pub fn signature_v2(mut self, accept: bool) -> Self {
                self.signatures.signature_v2 = accept;
                self
            }

            /// Sets how far the signing time of a request may be from the clock, in either
            /// direction. Default: 15 minutes.
            ///
            /// A presigned request may be used from this long before its signing time until it
            /// expires.
            pub fn max_skew(mut self, skew: Duration) -> Self {
                self.signatures.max_skew = skew;
                self
            }

            /// Sets how long the fields of a form upload may take to arrive. Default: 30 seconds.
            ///
            /// Measured with tokio's timer: forms need a tokio runtime with time enabled.
            pub fn form_timeout(mut self, timeout: Duration) -> Self {
                self.signatures.form_timeout = timeout;
                self
            }

            /// Sets the clock. Default: [`SystemClock`].
            pub fn clock(mut self, clock: impl Clock) -> Self {
                self.clock = Arc::new(clock);
                self
            }
        }
    };
}

pub(super) use signature_settings;

/// Error of a layer that cannot be built as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum S3ConfigError {
    /// A base domain is empty, or has a port, a path or a dot in front.
    InvalidBaseDomain,
    /// A region is empty or contains a slash.
    InvalidRegion,
    /// The form timeout is zero.
    ZeroFormTimeout,
}

impl fmt::Display for S3ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidBaseDomain => {
                "a base domain must be a host name without a port, a path or a leading dot"
            }
            Self::InvalidRegion => "a region must not be empty or contain a slash",
            Self::ZeroFormTimeout => "the form timeout must be greater than zero",
        })
    }
}

impl StdError for S3ConfigError {}
