//! Signatures of EC2-style requests, of all the versions that there were.
//!
//! Sources: the Identity API of OpenStack Keystone, `POST /v3/ec2tokens`; AWS,
//! "Signature version 2" and "Create a signed AWS API request".

mod canonical;
mod fields;
mod query;

use std::{collections::BTreeMap, fmt, time::SystemTime};

use data_encoding::BASE64;

use self::fields::Fields;
use super::{
    date,
    error::SignatureError,
    freshness::Freshness,
    hash,
    s3::parse_sha1,
    v4::{ALGORITHM, CredentialScope, SigningKey, parse_signature},
};
use crate::domain::{AccessKey, SecretKey};

/// A signed EC2-style request as its receiver describes it: the members of a
/// `POST /v3/ec2tokens` body.
///
/// `Debug` tells the access key alone: a signature works for whoever has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ec2Request {
    /// The access key that the request names.
    pub access: AccessKey,
    /// The signature: lowercase hex in version 4, base64 else.
    pub signature: String,
    /// The HTTP method; versions 2 and 4 need it.
    pub verb: Option<String>,
    /// The host with its port, if any; versions 2 and 4 need it.
    pub host: Option<String>,
    /// The path; versions 2 and 4 need it.
    pub path: Option<String>,
    /// The parameters of query and form, decoded.
    pub params: BTreeMap<String, String>,
    /// The headers; names in any case.
    pub headers: BTreeMap<String, String>,
    /// SHA-256 of the body in hex; version 4 needs it.
    pub body_hash: Option<String>,
}

impl Ec2Request {
    /// Works out what was signed.
    ///
    /// The version is `params.SignatureVersion` if that is `0`, `1` or `2`. Else it
    /// is 4 if the `Authorization` header starts with `AWS4-HMAC-SHA256` or
    /// `params.X-Amz-Algorithm` is that. `Signature` and `X-Amz-Signature` among the
    /// parameters are ignored, for they were not there when it was made.
    ///
    /// A `signature` that cannot be one is no error: it never verifies, at the cost
    /// of a wrong one.
    ///
    /// # Errors
    ///
    /// - [`SignatureError::Incomplete`] if the version is unknown or something is
    ///   missing that it signs: `Action` or `Timestamp` in version 0; verb, host or
    ///   path in 2 and 4; body hash or `X-Amz-Date` in 4.
    /// - [`SignatureError::Malformed`] if a date does not parse; if two headers differ
    ///   in the case of their names only; if a line that is signed holds a line break;
    ///   in version 4, if `Credential` or `SignedHeaders` are missing or have another
    ///   shape, or are for another access key or day than the request.
    pub fn prepare(mut self) -> Result<Ec2Signed, SignatureError> {
        self.params.retain(|name, _| name != "Signature" && name != "X-Amz-Signature");
        let fields = Fields::new(&self)?;
        let mut freshness = freshness(&fields)?;
        let form = match fields.param("SignatureVersion") {
            Some("0") => Form::sha1(query::v0(&fields)?, &self.signature),
            Some("1") => Form::sha1(query::v1(&fields), &self.signature),
            Some("2") => Form::V2 {
                with_port: query::v2(&fields, fields.host()?)?,
                without_port: match without_port(fields.host()?) {
                    Some(host) => Some(query::v2(&fields, host)?),
                    None => None,
                },
                signature: parse_sha256(&self.signature),
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

impl fmt::Debug for Ec2Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2Request").field("access", &self.access).finish_non_exhaustive()
    }
}

/// What was signed in an [`Ec2Request`], and the signature.
///
/// `Debug` tells the access key alone: a signature works for whoever has it.
#[derive(Clone)]
pub struct Ec2Signed {
    access: AccessKey,
    form: Form,
    freshness: Freshness,
}

/// What is hashed, and what is to come out.
#[derive(Clone)]
enum Form {
    /// Versions 0 and 1.
    Sha1 { text: String, signature: Option<[u8; 20]> },
    /// The port may have been signed or not.
    V2 { with_port: String, without_port: Option<String>, signature: Option<[u8; 32]> },
    /// The scope is one that parses.
    V4 { text: String, scope: String, signature: Option<[u8; 32]> },
}

impl Form {
    fn sha1(text: String, signature: &str) -> Self {
        Self::Sha1 { text, signature: parse_sha1(signature) }
    }
}

impl Ec2Signed {
    /// The access key that the request names.
    #[must_use]
    pub fn access(&self) -> &AccessKey {
        &self.access
    }

    /// When the request may be used.
    ///
    /// In version 4 that is the `X-Amz-Date` that was signed: `Timestamp` is not
    /// signed in a POST, so a replay could bring its own. The other versions sign
    /// parameters and no headers: it is the first of the parameters `Timestamp`,
    /// `X-Amz-Date` and `Expires`; [`Unknown`](Freshness::Unknown) if there is none.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// When the request was signed; `None` if that is not said.
    #[must_use]
    pub fn signed_at(&self) -> Option<SystemTime> {
        match self.freshness {
            Freshness::At(time) => Some(time),
            Freshness::Unknown | Freshness::Until(_) => None,
        }
    }

    /// Whether the signature is that of this secret.
    ///
    /// In version 2 the host may have been signed without its port: clients differ.
    /// That is tried after the host as it is, so that every wrong signature costs the
    /// same, whatever the secret. Compares in constant time.
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

/// By parameters alone: versions 0 to 2 sign no header, so that whoever replays a
/// request could bring a new date in one.
fn freshness(fields: &Fields<'_>) -> Result<Freshness, SignatureError> {
    let time = |stamp| date::parse_iso(stamp).ok_or(SignatureError::Malformed);
    if let Some(stamp) = fields.param("Timestamp").or_else(|| fields.param("X-Amz-Date")) {
        return Ok(Freshness::At(time(stamp)?));
    }
    fields.param("Expires").map_or(Ok(Freshness::Unknown), |end| Ok(Freshness::Until(time(end)?)))
}

/// The host without its port, if it has one; the colons of a bare IPv6 address in
/// brackets are no port's.
fn without_port(host: &str) -> Option<&str> {
    let (host, port) = host.rsplit_once(':')?;
    port.bytes().all(|b| b.is_ascii_digit()).then_some(host)
}

/// HMAC-SHA256 as version 2 sends it: base64 with padding. `None` for anything else.
fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    // Base64 of 32 bytes is 44 long, of which decoding asks for room for 33.
    let mut decoded = [0; 33];
    if text.len() != 44 {
        return None;
    }
    let len = BASE64.decode_mut(text.as_bytes(), &mut decoded).ok()?;
    decoded[..len].try_into().ok()
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
