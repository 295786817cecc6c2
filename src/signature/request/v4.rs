//! AWS Signature Version 4, in the `Authorization` header and in the query.
//!
//! Source: Amazon S3 API Reference, "Signature calculations for the Authorization
//! header" and "Authenticating requests: using query parameters".

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use data_encoding::HEXLOWER;
use http::header;

use super::{
    error::{RequestError, S3ErrorCode},
    head::{Named, RequestHead},
    headers, path,
    payload::Payload,
    query::Query,
};
use crate::signature::{
    date, hash,
    v4::{ALGORITHM, CredentialScope, SigningKey, parse_signature},
};

/// The one service whose requests are verified here.
const SERVICE: &str = "s3";

/// The longest that a presigned URL may be good for, in seconds: seven days.
const MAX_EXPIRES: u64 = 7 * 24 * 60 * 60;

/// The parameter that holds the signature, and which therefore is not signed.
const SIGNATURE: &str = "X-Amz-Signature";

/// A request that is signed with version 4.
#[derive(Clone)]
pub struct V4Request<'a> {
    head: RequestHead<'a>,
    query: Query<'a>,
    /// Parses as a credential; where its access key and its region end is below.
    credential: Cow<'a, str>,
    access_end: usize,
    region_end: usize,
    signed_headers: Cow<'a, str>,
    signature: Option<[u8; 32]>,
    timestamp: Cow<'a, str>,
    signed_at: SystemTime,
    /// For how long, if it is presigned.
    expires_in: Option<Duration>,
    payload: Payload,
    declared: Cow<'a, str>,
}

impl<'a> V4Request<'a> {
    /// Parses what follows the algorithm in an `Authorization` header.
    pub(super) fn of_header(
        head: RequestHead<'a>,
        named: &Named<'a>,
        rest: &'a str,
    ) -> Result<Self, RequestError> {
        let (credential, signed_headers, signature) = parse_header(rest)
            .ok_or(RequestError::header("The authorization header is malformed; it must hold Credential, SignedHeaders and Signature, in this order."))?;
        let (timestamp, signed_at) = time_of_headers(head, named)?;
        let missing = RequestError::new(
            S3ErrorCode::InvalidRequest,
            "Missing required header for this request: x-amz-content-sha256",
        );
        let declared = named.content_sha256.text()?.ok_or(missing)?;
        Self {
            head,
            query: Query::of(head.uri()),
            credential: Cow::Borrowed(credential),
            access_end: 0,
            region_end: 0,
            signed_headers: Cow::Borrowed(signed_headers),
            signature: parse_signature(signature),
            timestamp,
            signed_at,
            expires_in: None,
            payload: Payload::parse(declared)?,
            declared: Cow::Borrowed(declared),
        }
        .checked(named, RequestError::header)
    }

    /// Parses the parameters of a presigned request.
    pub(super) fn of_query(
        head: RequestHead<'a>,
        named: &Named<'a>,
        query: Query<'a>,
    ) -> Result<Self, RequestError> {
        let missing = RequestError::query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, \
             X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
             X-Amz-Expires parameters.",
        );
        if query.required("X-Amz-Algorithm", missing)? != ALGORITHM {
            let message = "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\".";
            return Err(RequestError::query(message));
        }
        let timestamp = query.required("X-Amz-Date", missing)?;
        let signed_at = date::parse_amz(&timestamp).ok_or(RequestError::query(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\".",
        ))?;
        let expires_in = parse_expires(&query.required("X-Amz-Expires", missing)?)?;
        let signature = parse_signature(&query.required(SIGNATURE, missing)?);
        let declared = declared_of_presigned(named, query)?;
        Self {
            head,
            query,
            credential: query.required("X-Amz-Credential", missing)?,
            access_end: 0,
            region_end: 0,
            signed_headers: query.required("X-Amz-SignedHeaders", missing)?,
            signature,
            timestamp,
            signed_at,
            expires_in: Some(expires_in),
            payload: Payload::parse(&declared)?,
            declared,
        }
        .checked(named, RequestError::query)
    }

    /// What both forms must fulfil.
    fn checked(
        mut self,
        named: &Named<'_>,
        malformed: fn(&'static str) -> RequestError,
    ) -> Result<Self, RequestError> {
        let Ok((access_key, scope)) = CredentialScope::parse_credential(&self.credential) else {
            return Err(malformed(
                "The Credential is malformed; expecting \
                 \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
            ));
        };
        if scope.service() != SERVICE {
            return Err(malformed("The Credential names an incorrect service: it must be \"s3\"."));
        }
        if scope.region().is_empty() {
            return Err(malformed("The Credential names no region."));
        }
        if !self.timestamp.starts_with(scope.date()) {
            return Err(malformed("The Credential is for another day than the request's date."));
        }
        headers::check(named.of_amazon, &self.signed_headers, malformed)?;
        (self.access_end, self.region_end) =
            (access_key.len(), access_key.len() + "/YYYYMMDD/".len() + scope.region().len());
        Ok(self)
    }

    /// The access key that is said to have signed.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.credential[..self.access_end]
    }

    /// What the signing key must be good for.
    #[must_use]
    pub fn scope(&self) -> CredentialScope<'_> {
        let date_end = self.access_end + "/YYYYMMDD".len();
        let date = &self.credential[self.access_end + 1..date_end];
        CredentialScope::of_parts(date, &self.credential[date_end + 1..self.region_end], SERVICE)
    }

    /// The scope as it was sent.
    pub(crate) fn scope_text(&self) -> &str {
        &self.credential[self.access_end + 1..]
    }

    /// When it was signed, as it was sent: `20260102T030405Z`.
    #[must_use]
    pub fn timestamp(&self) -> &str {
        &self.timestamp
    }

    /// When it was signed.
    #[must_use]
    pub fn signed_at(&self) -> SystemTime {
        self.signed_at
    }

    /// For how long after that it may be used, if it is presigned.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// The names of the signed headers, in lower case, sorted, between semicolons.
    #[must_use]
    pub fn signed_headers(&self) -> &str {
        &self.signed_headers
    }

    /// What it declares of its body.
    #[must_use]
    pub fn payload(&self) -> Payload {
        self.payload
    }

    /// The signature that it carries; `None` if that cannot be one.
    #[must_use]
    pub fn signature(&self) -> Option<&[u8; 32]> {
        self.signature.as_ref()
    }

    /// Whether it may be used now.
    ///
    /// If it is presigned: from `skew` before it was signed until it expires. Else for
    /// `skew` before and after it was signed; S3 allows 15 minutes.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if it is too early or too late.
    pub fn check_time(&self, now: SystemTime, skew: Duration) -> Result<(), RequestError> {
        let denied = |message| Err(RequestError::new(S3ErrorCode::AccessDenied, message));
        let ahead = self.signed_at.duration_since(now).unwrap_or_default();
        let age = now.duration_since(self.signed_at).unwrap_or_default();
        match self.expires_in {
            Some(_) if ahead > skew => denied("Request is not valid yet."),
            Some(expires_in) if age > expires_in => denied("Request has expired."),
            None if ahead > skew || age > skew => Err(RequestError::skewed()),
            _ => Ok(()),
        }
    }

    /// The canonical request: what is hashed for the string to sign.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if a signed header is not there, or the path or query has no
    /// canonical form.
    pub fn canonical_request(&self) -> Result<Vec<u8>, RequestError> {
        let mut text = Vec::with_capacity(1_024);
        self.write_canonical(&mut text)?;
        Ok(text)
    }

    /// The string to sign.
    ///
    /// # Errors
    ///
    /// As for [`canonical_request`](Self::canonical_request).
    pub fn string_to_sign(&self) -> Result<Vec<u8>, RequestError> {
        let mut text = Vec::with_capacity(1_024);
        self.write_string_to_sign(&mut text)?;
        Ok(text)
    }

    /// Whether the signature is that of this key.
    ///
    /// # Errors
    ///
    /// As for [`canonical_request`](Self::canonical_request).
    pub fn verify(&self, key: &SigningKey) -> Result<bool, RequestError> {
        Ok(key.verify(&self.string_to_sign()?, self.signature.as_ref()))
    }

    /// Writes the string to sign into an empty buffer, which also serves on the way.
    pub(crate) fn write_string_to_sign(&self, text: &mut Vec<u8>) -> Result<(), RequestError> {
        self.write_canonical(text)?;
        let hashed = hash::sha256(text);
        text.clear();
        for line in [ALGORITHM, &self.timestamp, self.scope_text()] {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        let start = text.len();
        text.resize(start + 64, 0);
        HEXLOWER.encode_mut(&hashed, &mut text[start..]);
        Ok(())
    }

    fn write_canonical(&self, text: &mut Vec<u8>) -> Result<(), RequestError> {
        text.extend_from_slice(self.head.method().as_str().as_bytes());
        text.push(b'\n');
        if !path::write_path(text, self.head.uri().path()) {
            return Err(RequestError::invalid_uri());
        }
        text.push(b'\n');
        self.query.write(text, SIGNATURE)?;
        text.push(b'\n');
        if !headers::write(text, self.head, &self.signed_headers)? {
            let message = "A signed header is not in the request.";
            return Err(RequestError::new(S3ErrorCode::SignatureDoesNotMatch, message));
        }
        text.push(b'\n');
        text.extend_from_slice(self.signed_headers.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(self.declared.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for V4Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut this = f.debug_struct("V4Request");
        this.field("access_key", &self.access_key()).finish_non_exhaustive()
    }
}

/// The three members of the header, in the order in which everybody sends them.
fn parse_header(rest: &str) -> Option<(&str, &str, &str)> {
    // From behind, since an access key may hold commas.
    let (rest, signature) = rest.rsplit_once(',')?;
    let (credential, signed_headers) = rest.rsplit_once(',')?;
    let credential = credential.trim_ascii().strip_prefix("Credential=")?;
    let signed_headers = signed_headers.trim_ascii().strip_prefix("SignedHeaders=")?;
    let signature = signature.trim_ascii().strip_prefix("Signature=")?;
    (!signature.is_empty()).then_some((credential, signed_headers, signature))
}

/// When the headers say that it was signed: `x-amz-date`, or else `Date`.
fn time_of_headers<'a>(
    head: RequestHead<'a>,
    named: &Named<'a>,
) -> Result<(Cow<'a, str>, SystemTime), RequestError> {
    let error = RequestError::no_date();
    if let Some(text) = named.date.text()? {
        let time = date::parse_amz(text).ok_or(error)?;
        return Ok((Cow::Borrowed(text), time));
    }
    let text = head.single(&header::DATE)?.ok_or(error)?;
    if let Some(time) = date::parse_amz(text) {
        return Ok((Cow::Borrowed(text), time));
    }
    let time = date::parse_http(text).ok_or(error)?;
    Ok((Cow::Owned(date::format_amz(time)), time))
}

fn parse_expires(text: &str) -> Result<Duration, RequestError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(seconds @ 1..=MAX_EXPIRES) if digits => Ok(Duration::from_secs(seconds)),
        _ => Err(RequestError::query(
            "X-Amz-Expires must be a number of seconds, at least 1 and at most a week (604800).",
        )),
    }
}

/// What a presigned request declares of its body: nothing, unless it says so.
fn declared_of_presigned<'a>(
    named: &Named<'a>,
    query: Query<'a>,
) -> Result<Cow<'a, str>, RequestError> {
    let parameter = query.value("X-Amz-Content-Sha256")?;
    let header = named.content_sha256.text()?.map(Cow::Borrowed);
    match (parameter, header) {
        (Some(parameter), Some(header)) if parameter != header => {
            let message = "The header and the parameter x-amz-content-sha256 differ.";
            Err(RequestError::new(S3ErrorCode::InvalidArgument, message))
        }
        (Some(declared), _) | (None, Some(declared)) => Ok(declared),
        (None, None) => Ok(Cow::Borrowed("UNSIGNED-PAYLOAD")),
    }
}

#[cfg(test)]
mod tests;
