//! AWS Signature Version 2, in the `Authorization` header and in the query.
//!
//! Source: Amazon S3, "Signing and authenticating REST requests".

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use http::{HeaderName, header};
use percent_encoding::percent_decode_str;

use super::{
    error::{RequestError, S3ErrorCode},
    head::RequestHead,
    payload::{Payload, Streaming},
    query::{self, Query},
};
use crate::{
    domain::SecretKey,
    signature::{
        date,
        freshness::{Freshness, is_fresh},
        hash,
    },
};

/// The parameters that are signed: they name a subresource or change the response.
const SUBRESOURCES: [&str; 38] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "encryption",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "retention",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// A request that is signed with version 2.
#[derive(Clone)]
pub struct V2Request<'a> {
    head: RequestHead<'a>,
    query: Query<'a>,
    parsed: Parsed<'a>,
}

/// What the header or the query states about the signature.
#[derive(Clone)]
pub(super) struct Parsed<'a> {
    access_key: Cow<'a, str>,
    signature: Option<[u8; 20]>,
    /// The fourth line of the string to sign.
    date: Cow<'a, str>,
    freshness: Freshness,
    payload: Payload,
}

impl<'a> V2Request<'a> {
    /// Parses the text after `AWS` in an `Authorization` header.
    pub(super) fn of_header(head: RequestHead<'a>, rest: &'a str) -> Result<Self, RequestError> {
        let error = RequestError::new(
            S3ErrorCode::InvalidArgument,
            "AWS authorization header is invalid. Expected AwsAccessKeyId:signature",
        );
        let (access_key, signature) = rest.rsplit_once(':').ok_or(error)?;
        if access_key.is_empty() || access_key.contains(' ') || signature.is_empty() {
            return Err(error);
        }
        let (date, signed_at) = time_of_headers(head)?;
        let parsed = Parsed {
            access_key: Cow::Borrowed(access_key),
            signature: hash::parse_base64(signature),
            date: Cow::Borrowed(date),
            freshness: Freshness::At(signed_at),
            payload: payload_of(head)?,
        };
        Ok(Self { head, query: Query::of(head.uri()), parsed })
    }

    /// Parses the parameters of a presigned request.
    pub(super) fn of_query(head: RequestHead<'a>, query: Query<'a>) -> Result<Self, RequestError> {
        let denied = |message| RequestError::new(S3ErrorCode::AccessDenied, message);
        let missing = denied(
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId \
             parameters",
        );
        let expires = query.required("Expires", missing)?;
        let end = date::parse_epoch(&expires)
            .filter(|_| expires.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or(denied("Invalid date (should be seconds since epoch)."))?;
        let access_key = query.required("AWSAccessKeyId", missing)?;
        if access_key.is_empty() {
            return Err(missing);
        }
        let parsed = Parsed {
            access_key,
            signature: hash::parse_base64(&query.required("Signature", missing)?),
            date: expires,
            freshness: Freshness::Until(end),
            payload: payload_of(head)?,
        };
        Ok(Self { head, query, parsed })
    }

    /// Copies the parsed parts, without the head.
    pub(super) fn detach(self) -> Parsed<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let Parsed { access_key, signature, date, freshness, payload } = self.parsed;
        Parsed { access_key: own(access_key), signature, date: own(date), freshness, payload }
    }

    /// Combines the parsed parts with the head that they were parsed from.
    pub(super) fn attach(head: RequestHead<'a>, parsed: Parsed<'static>) -> Self {
        Self { head, query: Query::of(head.uri()), parsed }
    }

    /// Returns the access key that the request names.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.parsed.access_key
    }

    /// Returns when the request may be used.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.parsed.freshness
    }

    /// Returns what the request declares about its body. The declaration is signed, as every
    /// `x-amz-*` header is.
    #[must_use]
    pub fn payload(&self) -> Payload {
        self.parsed.payload
    }

    /// Checks that the request may be used `now`: for `max_skew` before and after its
    /// signing time, or until it expires, which must be within seven days.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if `now` is too early or too late.
    pub fn check_time(&self, now: SystemTime, max_skew: Duration) -> Result<(), RequestError> {
        if is_fresh(self.freshness(), now, max_skew) {
            return Ok(());
        }
        let denied = |message| RequestError::new(S3ErrorCode::AccessDenied, message);
        Err(match self.freshness() {
            Freshness::Until(end) if end < now => denied("Request has expired."),
            Freshness::Until(_) => denied("Request expires more than a week ahead."),
            Freshness::At(_) | Freshness::Unknown => RequestError::skewed(),
        })
    }

    /// Returns the string to sign. `bucket` is the bucket that the host names, if any.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if a signed parameter or header is a duplicate, or could be mistaken
    /// for another one.
    pub fn string_to_sign(&self, bucket: Option<&str>) -> Result<Vec<u8>, RequestError> {
        let mut text = Vec::with_capacity(512);
        self.write_string_to_sign(&mut text, bucket)?;
        Ok(text)
    }

    /// Returns whether the signature was made with this secret.
    ///
    /// # Errors
    ///
    /// The same as [`string_to_sign`](Self::string_to_sign).
    pub fn verify(&self, secret: &SecretKey, bucket: Option<&str>) -> Result<bool, RequestError> {
        let text = self.string_to_sign(bucket)?;
        Ok(self.is_signature_of(secret, &text))
    }

    /// Returns whether the query has a parameter of this name.
    #[cfg(feature = "s3s")]
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        self.query.parts().any(|(found, _)| found == name)
    }

    /// Returns whether the secret signs this text. Costs the same for every secret.
    pub(crate) fn is_signature_of(&self, secret: &SecretKey, text: &[u8]) -> bool {
        let signature = self.parsed.signature.as_ref();
        hash::is_hmac_sha1(secret, text, signature.map(<[u8; 20]>::as_slice))
    }

    /// Writes the string to sign into an empty buffer.
    pub(crate) fn write_string_to_sign(
        &self,
        text: &mut Vec<u8>,
        bucket: Option<&str>,
    ) -> Result<(), RequestError> {
        text.extend_from_slice(self.head.method().as_str().as_bytes());
        for name in [&CONTENT_MD5, &header::CONTENT_TYPE] {
            text.push(b'\n');
            text.extend_from_slice(self.head.single(name)?.unwrap_or_default().trim().as_bytes());
        }
        text.push(b'\n');
        text.extend_from_slice(self.parsed.date.as_bytes());
        text.push(b'\n');
        self.write_headers(text)?;
        if let Some(bucket) = bucket {
            text.push(b'/');
            text.extend_from_slice(bucket.as_bytes());
        }
        let path = self.head.uri().path();
        text.extend_from_slice(if path.is_empty() { b"/" } else { path.as_bytes() });
        self.write_subresources(text)
    }

    fn write_headers(&self, text: &mut Vec<u8>) -> Result<(), RequestError> {
        let names = self.head.headers().keys().map(HeaderName::as_str);
        let mut names: Vec<_> = names.filter(|name| name.starts_with("x-amz-")).collect();
        names.sort_unstable();
        for name in names {
            let mut values = self.head.headers().get_all(name).iter();
            let (value, more) = (values.next(), values.next());
            // As in version 4: an app that reads the first would see another value.
            if more.is_some() {
                return Err(RequestError::header_twice());
            }
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(value.map_or(b"", |value| value.as_bytes().trim_ascii()));
            text.push(b'\n');
        }
        Ok(())
    }

    fn write_subresources(&self, text: &mut Vec<u8>) -> Result<(), RequestError> {
        // An app decodes names. An unsigned parameter must not become a subresource that way.
        let is_hidden = |name: &str| {
            let decoded = percent_decode_str(name).decode_utf8_lossy();
            decoded != name && SUBRESOURCES.contains(&&*decoded)
        };
        if self.query.parts().any(|(name, _)| is_hidden(name)) {
            let message = "A parameter's name has another spelling.";
            return Err(RequestError::new(S3ErrorCode::InvalidArgument, message));
        }
        let mut pairs: Vec<_> =
            self.query.parts().filter(|(name, _)| SUBRESOURCES.contains(name)).collect();
        pairs.sort_unstable();
        if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(query::duplicate());
        }
        let mut before = b'?';
        for (name, value) in pairs {
            text.push(before);
            text.extend_from_slice(name.as_bytes());
            if let Some(value) = value {
                text.push(b'=');
                let start = text.len();
                text.extend(percent_decode_str(value));
                if looks_like_more(&text[start..]) {
                    let message = "A parameter's value reads like a further parameter.";
                    return Err(RequestError::new(S3ErrorCode::InvalidArgument, message));
                }
            }
            before = b'&';
        }
        Ok(())
    }
}

impl fmt::Debug for V2Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut this = f.debug_struct("V2Request");
        this.field("access_key", &self.access_key()).finish_non_exhaustive()
    }
}

/// Returns the date line, and the signing time of the headers. If there is an `x-amz-date`, it
/// wins and is signed as a header, and the line is empty.
fn time_of_headers(head: RequestHead<'_>) -> Result<(&str, SystemTime), RequestError> {
    let error = RequestError::no_date();
    let parse = |text| date::parse_http(text).or_else(|| date::parse_iso(text)).ok_or(error);
    if let Some(text) = head.single(&X_AMZ_DATE)? {
        return Ok(("", parse(text)?));
    }
    let text = head.single(&header::DATE)?.ok_or(error)?;
    Ok((text, parse(text)?))
}

/// Returns whether a decoded value contains text that would be signed in the same way as
/// further parameters: `x&versionId=1`.
fn looks_like_more(value: &[u8]) -> bool {
    let further = value.split(|byte| *byte == b'&').skip(1);
    let mut names = further.map(|part| part.split(|byte| *byte == b'=').next().unwrap_or(part));
    names.any(|name| SUBRESOURCES.iter().any(|subresource| subresource.as_bytes() == name))
}

fn payload_of(head: RequestHead<'_>) -> Result<Payload, RequestError> {
    let Some(declared) = head.single(&CONTENT_SHA256)? else { return Ok(Payload::Unsigned) };
    match Payload::parse(declared)? {
        Payload::Streaming(Streaming::Signed | Streaming::SignedTrailer) => {
            let message = "Chunks are signed with version 4 alone.";
            Err(RequestError::new(S3ErrorCode::InvalidRequest, message))
        }
        payload => Ok(payload),
    }
}

#[cfg(test)]
mod tests;
