//! Signatures of S3 requests, as a gateway passes them on to be checked: with the
//! string to sign instead of the request.
//!
//! Sources: the Identity API of OpenStack Keystone, `POST /v3/s3tokens`; AWS,
//! "Signing and authenticating REST requests" (Amazon S3, signature version 2).

use std::{fmt, ops::Range, str, time::SystemTime};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};

use super::{
    date,
    error::SignatureError,
    freshness::Freshness,
    hash,
    v4::{ALGORITHM, CredentialScope, SigningKey, parse_signature},
};
use crate::domain::{AccessKey, SecretKey};

/// The services whose requests S3 gateways pass on.
const SERVICES: [&str; 3] = ["s3", "iam", "sts"];

/// What makes a string to sign one of version 4.
const V4: &[u8] = b"AWS4";

/// A signed S3 request, reduced to what was signed.
///
/// Parsing decodes the token into one buffer; nothing else here allocates, and
/// verifying hashes the buffer where it lies. `Debug` tells the access key alone:
/// a signature works for whoever has it.
#[derive(Clone)]
pub struct S3Request {
    access: AccessKey,
    token: Vec<u8>,
    form: Form,
    freshness: Freshness,
}

#[derive(Clone)]
enum Form {
    /// HMAC-SHA1 in base64.
    V1 { signature: Option<[u8; 20]> },
    /// Where the scope lies in the token, and HMAC-SHA256 in hex.
    V4 { scope: Range<usize>, signature: Option<[u8; 32]> },
}

impl S3Request {
    /// Parses the members of a `POST /v3/s3tokens` body.
    ///
    /// `token` is the string to sign in base64, of the alphabet for URLs or the
    /// standard one (not both), with or without padding. If it starts with `AWS4` it
    /// is of version 4: four lines, of which the second is a time
    /// (`20260102T030405Z`), the third a scope of that day for `s3`, `iam` or `sts`,
    /// and the last 64 lowercase hex digits. Else it is of the old kind: verb, MD5,
    /// type, date, then any headers and the resource.
    ///
    /// A `signature` that cannot be one (64 lowercase hex digits in version 4, base64
    /// of 20 bytes else) is no error: it never verifies, at the cost of a wrong one.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Malformed`] if the token does not decode, or not to one of
    /// these forms.
    pub fn parse(access: AccessKey, token: &str, signature: &str) -> Result<Self, SignatureError> {
        let token = decode(token).ok_or(SignatureError::Malformed)?;
        let (form, freshness) = if token.starts_with(V4) {
            let (scope, signed_at) = read_v4(&token).ok_or(SignatureError::Malformed)?;
            let signature = parse_signature(signature);
            (Form::V4 { scope, signature }, Freshness::At(signed_at))
        } else {
            let freshness = read_v1(&token).ok_or(SignatureError::Malformed)?;
            (Form::V1 { signature: parse_sha1(signature) }, freshness)
        };
        Ok(Self { access, token, form, freshness })
    }

    /// The access key that the request names.
    #[must_use]
    pub fn access(&self) -> &AccessKey {
        &self.access
    }

    /// When the request may be used.
    ///
    /// In version 4 it is always signed [at](Freshness::At) a time. Else the date
    /// line says so, or an `x-amz-date` header if that line is empty; a date line of
    /// digits is when a presigned request [expires](Freshness::Until).
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// When the request was signed; `None` if that is not said, as when it is
    /// presigned in the old way.
    #[must_use]
    pub fn signed_at(&self) -> Option<SystemTime> {
        match self.freshness {
            Freshness::At(time) => Some(time),
            Freshness::Unknown | Freshness::Until(_) => None,
        }
    }

    /// Whether the signature is that of this secret.
    ///
    /// Costs the same for every secret and signature; compares in constant time.
    #[must_use]
    pub fn verify(&self, secret: &SecretKey) -> bool {
        match &self.form {
            Form::V1 { signature } => {
                let signature = signature.as_ref().map(<[u8; 20]>::as_slice);
                hash::is_hmac_sha1(secret, &self.token, signature)
            }
            // It has been a scope before; that is kept as a range, not as copies.
            Form::V4 { scope, signature } => {
                scope_of(&self.token[scope.clone()]).is_some_and(|scope| {
                    SigningKey::derive(secret, &scope).verify(&self.token, signature.as_ref())
                })
            }
        }
    }
}

impl fmt::Debug for S3Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Request").field("access", &self.access).finish_non_exhaustive()
    }
}

/// HMAC-SHA1 as clients send it: base64 with padding. `None` for anything else.
pub(super) fn parse_sha1(text: &str) -> Option<[u8; 20]> {
    // Base64 of 20 bytes is 28 long, of which decoding asks for room for 21.
    let mut decoded = [0; 21];
    if text.len() != 28 {
        return None;
    }
    let len = BASE64.decode_mut(text.as_bytes(), &mut decoded).ok()?;
    decoded[..len].try_into().ok()
}

/// Base64 of either alphabet; both at once are of neither.
fn decode(token: &str) -> Option<Vec<u8>> {
    let standard = token.contains(['+', '/']);
    let encoding = match (standard, token.ends_with('=')) {
        (true, true) => BASE64,
        (true, false) => BASE64_NOPAD,
        (false, true) => BASE64URL,
        (false, false) => BASE64URL_NOPAD,
    };
    encoding.decode(token.as_bytes()).ok()
}

/// Where the scope is, and when it was signed.
fn read_v4(token: &[u8]) -> Option<(Range<usize>, SystemTime)> {
    let mut lines = token.split(|b| *b == b'\n');
    let (first, time, scope, hash) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
    let hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if lines.next().is_some()
        || first != ALGORITHM.as_bytes()
        || hash.len() != 64
        || !hash.iter().all(hex)
    {
        return None;
    }
    let signed_at = date::parse_amz(str::from_utf8(time).ok()?)?;
    let parsed = scope_of(scope)?;
    if !SERVICES.contains(&parsed.service()) || !time.starts_with(parsed.date().as_bytes()) {
        return None;
    }
    let start = first.len() + 1 + time.len() + 1;
    Some((start..start + scope.len(), signed_at))
}

fn scope_of(line: &[u8]) -> Option<CredentialScope<'_>> {
    CredentialScope::parse(str::from_utf8(line).ok()?).ok()
}

/// When a request of the old kind may be used.
fn read_v1(token: &[u8]) -> Option<Freshness> {
    // Verb, MD5, type and date; the resource, which comes last, is no header.
    let mut lines = token.splitn(5, |b| *b == b'\n');
    let (date, rest) = (lines.nth(3)?, lines.next()?);
    let date = str::from_utf8(date).ok()?;
    if date.is_empty() {
        let mut headers = rest.split(|b| *b == b'\n').rev().skip(1);
        let Some(header) = headers.find_map(|line| line.strip_prefix(b"x-amz-date:")) else {
            return Some(Freshness::Unknown);
        };
        let header = str::from_utf8(header).ok()?.trim();
        date::parse_http(header).or_else(|| date::parse_iso(header)).map(Freshness::At)
    } else if date.bytes().all(|b| b.is_ascii_digit()) {
        date::parse_epoch(date).map(Freshness::Until)
    } else {
        date::parse_http(date).map(Freshness::At)
    }
}

#[cfg(test)]
mod tests;
