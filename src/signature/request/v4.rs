//! AWS Signature Version 4, in the `Authorization` header and in the query.
//!
//! Source: Amazon S3 API Reference, "Signature calculations for the Authorization
//! header" and "Authenticating requests: using query parameters".

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

pub(crate) use self::parts::Service;
use self::parts::{check, declared_of_presigned, parse_expires, parse_header, time_of_headers};
use super::{
    error::{RequestError, S3ErrorCode},
    head::{Named, RequestHead},
    headers, path,
    payload::Payload,
    query::Query,
};
use crate::signature::{
    date, hash, hex,
    signing_key::{ALGORITHM, CredentialScope, SigningKey, parse_signature},
};

mod parts;

/// The parameter that contains the signature and is therefore not signed.
const SIGNATURE: &str = "X-Amz-Signature";

/// A request that is signed with version 4.
#[derive(Clone)]
pub struct V4Request<'a> {
    head: RequestHead<'a>,
    named: Named<'a>,
    query: Query<'a>,
    parsed: Parsed<'a>,
}

/// What the header or the query states about the signature.
#[derive(Clone)]
pub(super) struct Parsed<'a> {
    service: Service,
    /// Parses as a credential. The ends of its access key and region are below.
    credential: Cow<'a, str>,
    access_end: usize,
    region_end: usize,
    signed_headers: Cow<'a, str>,
    signature: Option<[u8; 32]>,
    timestamp: Cow<'a, str>,
    signed_at: SystemTime,
    /// The lifetime of a presigned request.
    expires_in: Option<Duration>,
    payload: Payload,
    declared: Cow<'a, str>,
}

impl<'a> V4Request<'a> {
    /// Parses the text after the algorithm in an `Authorization` header.
    #[inline]
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
        let payload = Payload::parse(declared)?;
        let service = Service::S3;
        let (access_end, region_end) =
            check(named, service, (credential, signed_headers), &timestamp, RequestError::header)?;
        // Built in one step: moving a request takes longer than most checks.
        Ok(Self {
            head,
            named: *named,
            query: Query::of(head.uri()),
            parsed: Parsed {
                service,
                credential: Cow::Borrowed(credential),
                access_end,
                region_end,
                signed_headers: Cow::Borrowed(signed_headers),
                signature: parse_signature(signature),
                timestamp,
                signed_at,
                expires_in: None,
                payload,
                declared: Cow::Borrowed(declared),
            },
        })
    }

    /// Parses the text after the algorithm in an `Authorization` header of a request to IAM or STS,
    /// whose body has this SHA-256. Their clients need not declare it.
    pub(super) fn of_query_api(
        head: RequestHead<'a>,
        service: Service,
        rest: &'a str,
        sha256: &[u8; 32],
    ) -> Result<Self, RequestError> {
        let named = head.named();
        let malformed = RequestError::header("The authorization header is malformed.");
        let (credential, signed_headers, signature) = parse_header(rest).ok_or(malformed)?;
        let (timestamp, signed_at) = time_of_headers(head, &named)?;
        let (access_end, region_end) =
            check(&named, service, (credential, signed_headers), &timestamp, RequestError::header)?;
        let declared = hex::encode(sha256).iter().map(|byte| char::from(*byte)).collect();
        let parsed = Parsed {
            service,
            credential: Cow::Borrowed(credential),
            access_end,
            region_end,
            signed_headers: Cow::Borrowed(signed_headers),
            signature: parse_signature(signature),
            timestamp,
            signed_at,
            expires_in: None,
            payload: Payload::Hash(*sha256),
            declared: Cow::Owned(declared),
        };
        Ok(Self { head, named, query: Query::of(head.uri()), parsed })
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
        let credential = query.required("X-Amz-Credential", missing)?;
        let signed_headers = query.required("X-Amz-SignedHeaders", missing)?;
        let payload = Payload::parse(&declared)?;
        let service = Service::S3;
        let (access_end, region_end) =
            check(named, service, (&credential, &signed_headers), &timestamp, RequestError::query)?;
        let parsed = Parsed {
            service,
            credential,
            access_end,
            region_end,
            signed_headers,
            signature,
            timestamp,
            signed_at,
            expires_in: Some(expires_in),
            payload,
            declared,
        };
        Ok(Self { head, named: *named, query, parsed })
    }

    /// Copies the parsed parts, without the head.
    pub(super) fn detach(self) -> Parsed<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        // Written in full so that a new text cannot be forgotten here.
        let Parsed {
            service,
            credential,
            access_end,
            region_end,
            signed_headers,
            signature,
            timestamp,
            signed_at,
            expires_in,
            payload,
            declared,
        } = self.parsed;
        Parsed {
            service,
            credential: own(credential),
            access_end,
            region_end,
            signed_headers: own(signed_headers),
            signature,
            timestamp: own(timestamp),
            signed_at,
            expires_in,
            payload,
            declared: own(declared),
        }
    }

    /// Combines the parsed parts with the head that they were parsed from.
    pub(super) fn attach(head: RequestHead<'a>, parsed: Parsed<'static>) -> Self {
        Self { head, named: head.named(), query: Query::of(head.uri()), parsed }
    }

    /// Returns the access key that the request names.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.parsed.credential[..self.parsed.access_end]
    }

    /// Returns the session token of the request, if it has one.
    #[must_use]
    pub fn session_token(&self) -> Option<Cow<'_, str>> {
        // Both were read when the request was parsed.
        match self.expires_in() {
            None => self.named.session_token.text().ok().flatten().map(Cow::Borrowed),
            Some(_) => self.query.session_token().ok().flatten(),
        }
    }

    /// Returns the scope that the signing key must be derived for.
    #[must_use]
    pub fn scope(&self) -> CredentialScope<'_> {
        let Parsed { service, credential, access_end, region_end, .. } = &self.parsed;
        let date_end = access_end + "/YYYYMMDD".len();
        let date = &credential[access_end + 1..date_end];
        let region = &credential[date_end + 1..*region_end];
        CredentialScope::of_parts(date, region, service.as_str())
    }

    /// Returns the scope as sent.
    pub(crate) fn scope_text(&self) -> &str {
        &self.parsed.credential[self.parsed.access_end + 1..]
    }

    /// Returns the signing time as sent: `20260102T030405Z`.
    #[must_use]
    pub fn timestamp(&self) -> &str {
        &self.parsed.timestamp
    }

    /// Returns the signing time.
    #[must_use]
    pub fn signed_at(&self) -> SystemTime {
        self.parsed.signed_at
    }

    /// Returns the lifetime of a presigned request, counted from the signing time. `None` if
    /// the request is not presigned.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        self.parsed.expires_in
    }

    /// Returns the names of the signed headers, in lower case, sorted, separated by semicolons.
    #[must_use]
    pub fn signed_headers(&self) -> &str {
        &self.parsed.signed_headers
    }

    /// Returns what the request declares about its body.
    #[must_use]
    pub fn payload(&self) -> Payload {
        self.parsed.payload
    }

    /// Returns the signature. `None` if the text that was sent is not a valid signature.
    #[must_use]
    pub fn signature(&self) -> Option<&[u8; 32]> {
        self.parsed.signature.as_ref()
    }

    /// Checks that the request may be used `now`.
    ///
    /// A presigned request may be used from `max_skew` before its signing time until it
    /// expires. Any other request may be used for `max_skew` before and after its signing
    /// time. S3 allows 15 minutes.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if `now` is too early or too late.
    pub fn check_time(&self, now: SystemTime, max_skew: Duration) -> Result<(), RequestError> {
        let denied = |message| Err(RequestError::new(S3ErrorCode::AccessDenied, message));
        let (age, ahead) = match now.duration_since(self.signed_at()) {
            Ok(age) => (age, Duration::ZERO),
            Err(ahead) => (Duration::ZERO, ahead.duration()),
        };
        match self.expires_in() {
            Some(_) if ahead > max_skew => denied("Request is not valid yet."),
            Some(expires_in) if age > expires_in => denied("Request has expired."),
            None if ahead.max(age) > max_skew => Err(RequestError::skewed()),
            _ => Ok(()),
        }
    }

    /// Returns the canonical request, whose hash is part of the string to sign.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request lacks a signed header, or if the path or the query has
    /// no canonical form.
    pub fn canonical_request(&self) -> Result<Vec<u8>, RequestError> {
        let mut text = Vec::with_capacity(1_024);
        self.write_canonical(&mut text)?;
        Ok(text)
    }

    /// Returns the string to sign.
    ///
    /// # Errors
    ///
    /// The same as [`canonical_request`](Self::canonical_request).
    pub fn string_to_sign(&self) -> Result<Vec<u8>, RequestError> {
        let mut text = Vec::with_capacity(1_024);
        self.write_string_to_sign(&mut text)?;
        Ok(text)
    }

    /// Returns whether the signature was made with this key.
    ///
    /// # Errors
    ///
    /// The same as [`canonical_request`](Self::canonical_request).
    pub fn verify(&self, key: &SigningKey) -> Result<bool, RequestError> {
        Ok(key.verify(&self.string_to_sign()?, self.signature()))
    }

    /// Writes the string to sign into an empty buffer, which first holds the canonical request.
    pub(crate) fn write_string_to_sign(&self, text: &mut Vec<u8>) -> Result<(), RequestError> {
        self.write_canonical(text)?;
        let hashed = hash::sha256(text);
        text.clear();
        for line in [ALGORITHM, self.timestamp(), self.scope_text()] {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        text.extend_from_slice(&hex::encode(&hashed));
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
        if !headers::write(text, self.head, &self.named, self.signed_headers())? {
            let message = "A signed header is not in the request.";
            return Err(RequestError::new(S3ErrorCode::SignatureDoesNotMatch, message));
        }
        text.push(b'\n');
        text.extend_from_slice(self.signed_headers().as_bytes());
        text.push(b'\n');
        text.extend_from_slice(self.parsed.declared.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for V4Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut this = f.debug_struct("V4Request");
        this.field("access_key", &self.access_key()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
