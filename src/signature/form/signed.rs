//! [`SignedForm`]: the signature of a form, and its verification.

use std::{fmt, ops::RangeInclusive, time::SystemTime};

use data_encoding::BASE64;

use super::{
    fields::{FormError, PostForm},
    policy::Policy,
};
use crate::{
    domain::SecretKey,
    signature::{
        date, hash,
        signing_key::{ALGORITHM, CredentialScope, SigningKey, parse_signature},
    },
};

/// The service in the scope of a form.
const SERVICE: &str = "s3";

/// The field of a session token.
pub(crate) const SESSION_TOKEN: &str = "x-amz-security-token";

/// The fields of a signature, by version.
const V2: [&str; 2] = ["awsaccesskeyid", "signature"];
const V4: [&str; 4] = ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];

/// The signature of a form, and the signed policy as sent.
///
/// `Debug` shows the access key only.
#[derive(Clone)]
pub(crate) struct SignedForm {
    access: String,
    session_token: Option<String>,
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
    /// Parses the signature of a form. Returns `None` if the form is not signed.
    ///
    /// In version 4 the scope must be for S3 and for the day of `x-amz-date`. An invalid
    /// signature is not an error. It never verifies, and costs the same as a wrong one.
    ///
    /// # Errors
    ///
    /// [`FormError::Signature`] if a part is missing or malformed, or if the form has parts of
    /// both versions.
    pub(crate) fn find(form: &PostForm) -> Result<Option<Self>, FormError> {
        let has = |names: &[&str]| names.iter().any(|name| form.field(name).is_some());
        let field = |name| form.field(name).ok_or(FormError::Signature);
        let (access, signature) = match (has(&V2), has(&V4), form.field("policy")) {
            (false, false, None) => return Ok(None),
            (true, false, _) => {
                (field("awsaccesskeyid")?, Signature::V2(hash::parse_base64(field("signature")?)))
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
        let session_token = form.field(SESSION_TOKEN).map(str::to_owned);
        let (access, policy) = (access.into(), field("policy")?.into());
        Ok(Some(Self { access, session_token, policy, signature }))
    }

    /// Returns the access key that the form names.
    pub(crate) fn access(&self) -> &str {
        &self.access
    }

    /// Returns the session token of the form, which its policy must cover.
    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Returns the scope of version 4. `None` in version 2.
    pub(crate) fn scope(&self) -> Option<CredentialScope<'_>> {
        match &self.signature {
            Signature::V2(_) => None,
            // It parsed before.
            Signature::V4(scope, _) => CredentialScope::parse(scope).ok(),
        }
    }

    /// Returns whether the form is signed with this secret. Compares in constant time.
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

    /// Returns whether the form is signed with this key, which was derived for its
    /// [scope](Self::scope). Compares in constant time. Always `false` in version 2.
    pub(crate) fn verify_with(&self, key: &SigningKey) -> bool {
        match &self.signature {
            Signature::V2(_) => false,
            Signature::V4(_, signature) => key.verify(self.policy.as_bytes(), signature.as_ref()),
        }
    }

    /// Checks that the policy allows this form for this bucket `now`. Returns the allowed size
    /// of the file, in bytes. Verify the signature first.
    ///
    /// # Errors
    ///
    /// [`FormError::Policy`] if the policy is malformed; [`FormError::Expired`],
    /// [`FormError::ExtraField`] or [`FormError::Condition`] if it does not allow the form.
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
mod tests;
