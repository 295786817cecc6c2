//! From a request to its string to sign, and its verification.

use std::{fmt, time::SystemTime};

use super::{
    canonical,
    request::{Ec2TokensRequest, Fields},
};
use crate::{
    domain::{AccessKey, SecretKey},
    signature::{
        date,
        freshness::Freshness,
        hash,
        signing_key::{ALGORITHM, CredentialScope, SignatureError, SigningKey, parse_signature},
    },
};

impl Ec2TokensRequest {
    /// Computes the string to sign.
    ///
    /// The version is `params.SignatureVersion` if that is `0`, `1` or `2`. Otherwise it is 4
    /// if the `Authorization` header starts with `AWS4-HMAC-SHA256`, or if
    /// `params.X-Amz-Algorithm` equals that. The parameters `Signature` and `X-Amz-Signature`
    /// are ignored: they are not part of what is signed.
    ///
    /// An invalid `signature` is not an error. It never verifies, and costs the same as a
    /// wrong one.
    ///
    /// # Errors
    ///
    /// - [`SignatureError::Incomplete`] if the version is unknown or lacks a part that it
    ///   signs: `Action` or `Timestamp` in version 0; verb, host or path in 2 and 4; body hash
    ///   or `X-Amz-Date` in 4.
    /// - [`SignatureError::Malformed`] if a date does not parse; if two headers differ only in
    ///   the case of their names; if a signed line contains a line break; in version 4, if
    ///   `Credential` or `SignedHeaders` is missing or malformed, or names another access key or
    ///   day than the request.
    pub fn prepare(mut self) -> Result<Ec2Signed, SignatureError> {
        self.params.retain(|name, _| name != "Signature" && name != "X-Amz-Signature");
        let fields = Fields::new(&self)?;
        let mut freshness = freshness(&fields)?;
        let form = match fields.param("SignatureVersion") {
            Some("0") => Form::sha1(canonical::v0(&fields)?, &self.signature),
            Some("1") => Form::sha1(canonical::v1(&fields), &self.signature),
            Some("2") => Form::V2 {
                with_port: canonical::v2(&fields, fields.host()?)?,
                without_port: match without_port(fields.host()?) {
                    Some(host) => Some(canonical::v2(&fields, host)?),
                    None => None,
                },
                signature: hash::parse_base64(&self.signature),
            },
            _ if is_v4(&fields) => {
                let signed = canonical::v4(&fields)?;
                freshness = Freshness::At(signed.time);
                let signature = parse_signature(&self.signature);
                Form::V4 { text: signed.text, scope: signed.scope, signature }
            }
            _ => return Err(SignatureError::Incomplete),
        };
        Ok(Ec2Signed { access: self.access, form, freshness })
    }
}

/// The string to sign of an [`Ec2TokensRequest`], and its signature.
///
/// `Debug` shows the access key only: everybody who has a signature can use it.
#[derive(Clone)]
pub struct Ec2Signed {
    access: AccessKey,
    form: Form,
    freshness: Freshness,
}

/// The text that is hashed, and the expected digest.
#[derive(Clone)]
enum Form {
    /// Versions 0 and 1.
    Sha1 { text: String, signature: Option<[u8; 20]> },
    /// The host may have been signed with or without its port.
    V2 { with_port: String, without_port: Option<String>, signature: Option<[u8; 32]> },
    /// The scope parses.
    V4 { text: String, scope: String, signature: Option<[u8; 32]> },
}

impl Form {
    fn sha1(text: String, signature: &str) -> Self {
        Self::Sha1 { text, signature: hash::parse_base64(signature) }
    }
}

impl Ec2Signed {
    /// Returns the access key that the request names.
    #[must_use]
    pub fn access(&self) -> &AccessKey {
        &self.access
    }

    /// Returns when the request may be used.
    ///
    /// In version 4 the time is the signed `X-Amz-Date`. `Timestamp` is not signed in a POST,
    /// so a replay could carry a new one. The other versions sign parameters and no headers:
    /// the time is the first of the parameters `Timestamp`, `X-Amz-Date` and `Expires`, or
    /// [`Unknown`](Freshness::Unknown) without these.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// Returns when the request was signed. `None` if the request does not contain the time.
    #[must_use]
    pub fn signed_at(&self) -> Option<SystemTime> {
        self.freshness.signed_at()
    }

    /// Returns whether the signature was made with this secret.
    ///
    /// Clients of version 2 sign the host with or without its port. The host with its port is
    /// tried first, then the other: every wrong signature costs the same, whatever the
    /// secret. Compares in constant time.
    #[must_use]
    pub fn verify(&self, secret: &SecretKey) -> bool {
        match &self.form {
            Form::Sha1 { text, signature } => {
                let signature = signature.as_ref().map(<[u8; 20]>::as_slice);
                hash::is_hmac_sha1(secret, text.as_bytes(), signature)
            }
            Form::V2 { with_port, without_port, signature } => {
                let signature = signature.as_ref().map(<[u8; 32]>::as_slice);
                let signs =
                    |text: &String| hash::is_hmac_sha256(secret, text.as_bytes(), signature);
                signs(with_port) || without_port.as_ref().is_some_and(signs)
            }
            Form::V4 { text, scope, signature } => {
                CredentialScope::parse(scope).is_ok_and(|scope| {
                    SigningKey::derive(secret, &scope).verify(text.as_bytes(), signature.as_ref())
                })
            }
        }
    }
}

impl fmt::Debug for Ec2Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2Signed").field("access", &self.access).finish_non_exhaustive()
    }
}

fn is_v4(fields: &Fields<'_>) -> bool {
    fields.header("authorization").is_some_and(|value| value.starts_with(ALGORITHM))
        || fields.param("X-Amz-Algorithm") == Some(ALGORITHM)
}

/// Reads the time from the parameters only: versions 0 to 2 sign no header, so a replay could
/// carry a new date in one.
fn freshness(fields: &Fields<'_>) -> Result<Freshness, SignatureError> {
    let time = |stamp| date::parse_iso(stamp).ok_or(SignatureError::Malformed);
    if let Some(stamp) = fields.param("Timestamp").or_else(|| fields.param("X-Amz-Date")) {
        return Ok(Freshness::At(time(stamp)?));
    }
    fields.param("Expires").map_or(Ok(Freshness::Unknown), |end| Ok(Freshness::Until(time(end)?)))
}

/// Returns the host without its port, if it has one. The colons within the brackets of an
/// IPv6 address do not start a port.
fn without_port(host: &str) -> Option<&str> {
    let (host, port) = host.rsplit_once(':')?;
    port.bytes().all(|b| b.is_ascii_digit()).then_some(host)
}

#[cfg(test)]
mod tests;
