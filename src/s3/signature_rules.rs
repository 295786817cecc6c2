//! Which signatures are admitted, whatever key they are made with.

use std::time::{Duration, SystemTime};

use super::{
    layer::{Anonymous, S3ConfigError},
    refusal::Refusal,
};
use crate::signature::{
    CredentialScope,
    form::SignedForm,
    format_amz,
    request::{RequestError, RequestHead, S3ErrorCode, SignedRequest, V4Request},
};

/// How far apart the clocks of client and server may be: what S3 allows.
const MAX_SKEW: Duration = Duration::from_mins(15);

/// How long the fields of a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);

/// What a data plane checks of a request before it looks up a key. The layer and the
/// guard share these checks, so that a signature means the same in front of every store.
#[derive(Debug)]
pub(super) struct SignatureRules {
    /// What happens to requests without a signature.
    pub(super) anonymous: Anonymous,
    /// The accepted regions; every region, if the list is empty.
    pub(super) regions: Vec<String>,
    /// The domains whose subdomains name buckets.
    pub(super) base_domains: Vec<String>,
    pub(super) signature_v2: bool,
    pub(super) max_skew: Duration,
    pub(super) form_timeout: Duration,
}

impl SignatureRules {
    /// The defaults of every data plane.
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

    /// Checks the version and the region of a form. Its policy says until when it counts.
    pub(super) fn check_form(&self, signed: &SignedForm) -> Result<(), Refusal> {
        match signed.scope() {
            Some(scope) => self.check_region_of(&scope, S3ErrorCode::InvalidArgument),
            None if self.signature_v2 => Ok(()),
            None => Err(RequestError::unsupported().into()),
        }
    }

    /// The bucket that the host names, in lower case, where buckets are hosts.
    pub(super) fn bucket_of(&self, head: RequestHead<'_>) -> Result<Option<String>, Refusal> {
        if self.base_domains.is_empty() {
            return Ok(None);
        }
        let host = head.host()?.to_ascii_lowercase();
        let host = host.rsplit_once(':').map_or(&*host, |(host, _)| host);
        let below = |domain: &String| host.strip_suffix(&**domain)?.strip_suffix('.');
        // The shortest is below the longest domain.
        let bucket = self.base_domains.iter().filter_map(below).min_by_key(|bucket| bucket.len());
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
        match bucket {
            Some(bucket) if bucket.is_empty() || !bucket.bytes().all(allowed) => {
                let message = "The host names no valid bucket.";
                Err(Refusal::new(S3ErrorCode::InvalidRequest, message))
            }
            bucket => Ok(bucket.map(ToOwned::to_owned)),
        }
    }

    /// A request that comes too early or too late, with the server's time.
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
