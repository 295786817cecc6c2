//! Signatures of S3 requests that a gateway forwards for verification: the string to sign
//! instead of the request.
//!
//! Sources: the Identity API of OpenStack Keystone, `POST /v3/s3tokens`; AWS,
//! "Signing and authenticating REST requests" (Amazon S3, signature version 2).

use std::{fmt, ops::Range, str, time::SystemTime};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};

use super::{
    date,
    freshness::Freshness,
    hash,
    signing_key::{ALGORITHM, CredentialScope, SignatureError, SigningKey, parse_signature},
};
use crate::domain::{AccessKey, SecretKey};

/// The services whose requests S3 gateways forward.
const SERVICES: [&str; 3] = ["s3", "iam", "sts"];

/// The start of every string to sign of version 4.
const V4: &[u8] = b"AWS4";

/// A signed S3 request of `POST /v3/s3tokens`, reduced to its string to sign.
///
/// Parsing decodes the token into one buffer; nothing else allocates, and verifying hashes
/// that buffer. `Debug` shows the access key only: everybody who has a signature can use it.
#[derive(Clone)]
pub struct S3TokensRequest {
    access: AccessKey,
    token: Vec<u8>,
    form: Form,
    freshness: Freshness,
}

#[derive(Clone)]
enum Form {
    /// HMAC-SHA1 in base64.
    V1 { signature: Option<[u8; 20]> },
    /// The position of the scope in the token, and HMAC-SHA256 in hex.
    V4 { scope: Range<usize>, signature: Option<[u8; 32]> },
}

impl S3TokensRequest {
    /// Parses the members of a `POST /v3/s3tokens` body.
    ///
    /// `token` is the string to sign in base64, in the alphabet for URLs or the standard
    /// one (not a mixture), with or without padding. If the string starts with `AWS4` it is
    /// of version 4. It then has four lines: the algorithm, a time (`20260102T030405Z`), a
    /// scope of that day for `s3`, `iam` or `sts`, and 64 lowercase hex digits. Otherwise it
    /// is of the older version: verb, MD5, type, date, then any headers and the resource.
    ///
    /// An invalid `signature` (not 64 lowercase hex digits in version 4, not base64 of 20
    /// bytes in the older version) is not an error. It never verifies, and costs the same as a
    /// wrong one.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Malformed`] if the token is not valid base64 or the string has neither
    /// form.
    pub fn parse(access: AccessKey, token: &str, signature: &str) -> Result<Self, SignatureError> {
        let token = decode(token).ok_or(SignatureError::Malformed)?;
        let (form, freshness) = if token.starts_with(V4) {
            let (scope, signed_at) = read_v4(&token).ok_or(SignatureError::Malformed)?;
            let signature = parse_signature(signature);
            (Form::V4 { scope, signature }, Freshness::At(signed_at))
        } else {
            let freshness = read_v1(&token).ok_or(SignatureError::Malformed)?;
            (Form::V1 { signature: hash::parse_base64(signature) }, freshness)
        };
        Ok(Self { access, token, form, freshness })
    }

    /// Returns the access key that the request names.
    #[must_use]
    pub fn access(&self) -> &AccessKey {
        &self.access
    }

    /// Returns when the request may be used.
    ///
    /// A request of version 4 is always signed [at](Freshness::At) a time. In the older
    /// version the time comes from the date line, or from an `x-amz-date` header if that line
    /// is empty. A date line of digits is the expiry of a presigned request
    /// ([`Until`](Freshness::Until)).
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// Returns when the request was signed. `None` if the request does not contain the time,
    /// as a presigned request of the older version.
    #[must_use]
    pub fn signed_at(&self) -> Option<SystemTime> {
        self.freshness.signed_at()
    }

    /// Returns whether the signature was made with this secret.
    ///
    /// Costs the same for every secret and signature. Compares in constant time.
    #[must_use]
    pub fn verify(&self, secret: &SecretKey) -> bool {
        match &self.form {
            Form::V1 { signature } => {
                let signature = signature.as_ref().map(<[u8; 20]>::as_slice);
                hash::is_hmac_sha1(secret, &self.token, signature)
            }
            // It parsed before. The range is kept instead of copies.
            Form::V4 { scope, signature } => {
                scope_of(&self.token[scope.clone()]).is_some_and(|scope| {
                    SigningKey::derive(secret, &scope).verify(&self.token, signature.as_ref())
                })
            }
        }
    }
}

impl fmt::Debug for S3TokensRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3TokensRequest").field("access", &self.access).finish_non_exhaustive()
    }
}

/// Decodes base64 of either alphabet. A mixture of both is invalid.
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

/// Returns the position of the scope, and the signing time.
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

/// Returns when a request of the older version may be used.
fn read_v1(token: &[u8]) -> Option<Freshness> {
    // Verb, MD5, type and date. The last line is the resource, not a header.
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
