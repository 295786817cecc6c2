//! Forms that browsers upload files with: who signed one, and for what.
//!
//! Sources: AWS, "POST Object" and "Authenticating requests in browser-based uploads
//! using POST" (Amazon S3 API Reference); for version 2, "Browser-based uploads using
//! POST" (Amazon S3 Developer Guide).

mod error;
mod fields;
mod policy;

use std::{fmt, ops::RangeInclusive, time::SystemTime};

use data_encoding::BASE64;

pub(crate) use self::error::FormError;
pub use self::fields::PostForm;
use self::policy::Policy;
use super::{
    date, hash,
    s3::parse_sha1,
    v4::{ALGORITHM, CredentialScope, SigningKey, parse_signature},
};
use crate::domain::SecretKey;

/// The service in the scope of a form.
const SERVICE: &str = "s3";

/// Fields that are part of a signature.
const V2: [&str; 2] = ["awsaccesskeyid", "signature"];
const V4: [&str; 4] = ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];

/// What signs a form. What is signed is the policy, as it was sent.
///
/// `Debug` tells the access key alone.
#[derive(Clone)]
pub(crate) struct SignedForm {
    access: String,
    policy: String,
    signature: Signature,
}

#[derive(Clone)]
enum Signature {
    /// HMAC-SHA1 in base64.
    V2(Option<[u8; 20]>),
    /// The scope, and HMAC-SHA256 in hex.
    V4(String, Option<[u8; 32]>),
}

impl SignedForm {
    /// Finds what signs a form; `None` if nothing does.
    ///
    /// In version 4 the scope is for S3, of the day of `x-amz-date`. A signature that
    /// cannot be one is no error: it never verifies, at the cost of a wrong one.
    ///
    /// # Errors
    ///
    /// [`FormError::Signature`] if a part is missing or malformed, or if there are
    /// parts of both versions.
    pub(crate) fn find(form: &PostForm) -> Result<Option<Self>, FormError> {
        let has = |names: &[&str]| names.iter().any(|name| form.field(name).is_some());
        let field = |name| form.field(name).ok_or(FormError::Signature);
        let (access, signature) = match (has(&V2), has(&V4), form.field("policy")) {
            (false, false, None) => return Ok(None),
            (true, false, _) => {
                (field("awsaccesskeyid")?, Signature::V2(parse_sha1(field("signature")?)))
            }
            (false, true, _) => {
                let (access, scope) = CredentialScope::parse_credential(field("x-amz-credential")?)
                    .map_err(|_| FormError::Signature)?;
                let date = field("x-amz-date")?;
                let fits = field("x-amz-algorithm")? == ALGORITHM
                    && scope.service() == SERVICE
                    && date::parse_amz(date).is_some()
                    && date.starts_with(scope.date());
                if !fits {
                    return Err(FormError::Signature);
                }
                let signature = parse_signature(field("x-amz-signature")?);
                (access, Signature::V4(scope.to_string(), signature))
            }
            _ => return Err(FormError::Signature),
        };
        if access.is_empty() {
            return Err(FormError::Signature);
        }
        Ok(Some(Self { access: access.into(), policy: field("policy")?.into(), signature }))
    }

    /// The access key that the form names.
    pub(crate) fn access(&self) -> &str {
        &self.access
    }

    /// The scope of version 4; `None` in version 2.
    pub(crate) fn scope(&self) -> Option<CredentialScope<'_>> {
        match &self.signature {
            Signature::V2(_) => None,
            // It has been one before.
            Signature::V4(scope, _) => CredentialScope::parse(scope).ok(),
        }
    }

    /// Whether the form is signed with this secret, in constant time.
    pub(crate) fn verify(&self, secret: &SecretKey) -> bool {
        match (&self.signature, self.scope()) {
            (Signature::V2(signature), _) => {
                let signature = signature.as_ref().map(<[u8; 20]>::as_slice);
                hash::is_hmac_sha1(secret, self.policy.as_bytes(), signature)
            }
            (Signature::V4(..), Some(scope)) => {
                self.verify_with(&SigningKey::derive(secret, &scope))
            }
            (Signature::V4(..), None) => false,
        }
    }

    /// Whether the form is signed with this key, which is one of its
    /// [scope](Self::scope), in constant time. Never in version 2.
    pub(crate) fn verify_with(&self, key: &SigningKey) -> bool {
        match &self.signature {
            Signature::V2(_) => false,
            Signature::V4(_, signature) => key.verify(self.policy.as_bytes(), signature.as_ref()),
        }
    }

    /// Whether the policy allows this form for this bucket `now`; then, how long the
    /// file may be, in bytes. To be asked when the signature is right.
    ///
    /// # Errors
    ///
    /// [`FormError::Policy`] if it is no policy; [`FormError::Expired`],
    /// [`FormError::ExtraField`] or [`FormError::Condition`] if it does not allow it.
    pub(crate) fn check(
        &self,
        form: &PostForm,
        bucket: &str,
        now: SystemTime,
    ) -> Result<RangeInclusive<u64>, FormError> {
        let policy = BASE64.decode(self.policy.as_bytes()).map_err(|_| FormError::Policy)?;
        Policy::parse(&policy)?.check(form, bucket, now)
    }
}

impl fmt::Debug for SignedForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedForm").field("access", &self.access).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
