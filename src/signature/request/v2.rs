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
        hash, s3,
    },
};

/// The parameters that are signed, since they name a subresource or change the answer.
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
    access_key: Cow<'a, str>,
    signature: Option<[u8; 20]>,
    /// The fourth line of what is signed.
    date: Cow<'a, str>,
    freshness: Freshness,
    payload: Payload,
}

impl<'a> V2Request<'a> {
    /// Parses what follows `AWS` in an `Authorization` header.
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
        Ok(Self {
            head,
            query: Query::of(head.uri()),
            access_key: Cow::Borrowed(access_key),
            signature: s3::parse_sha1(signature),
            date: Cow::Borrowed(date),
            freshness: Freshness::At(signed_at),
            payload: payload_of(head)?,
        })
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
        Ok(Self {
            head,
            query,
            access_key,
            signature: s3::parse_sha1(&query.required("Signature", missing)?),
            date: expires,
            freshness: Freshness::Until(end),
            payload: payload_of(head)?,
        })
    }

    /// The access key that is said to have signed.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// When it may be used.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// What it declares of its body, which is signed as every `x-amz-*` header is.
    #[must_use]
    pub fn payload(&self) -> Payload {
        self.payload
    }

    /// Whether it may be used now: for `skew` before and after it was signed, or until
    /// it expires, which must be within seven days.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if it is too early or too late.
    pub fn check_time(&self, now: SystemTime, skew: Duration) -> Result<(), RequestError> {
        if is_fresh(self.freshness, now, skew) {
            return Ok(());
        }
        let denied = |message| RequestError::new(S3ErrorCode::AccessDenied, message);
        Err(match self.freshness {
            Freshness::Until(end) if end < now => denied("Request has expired."),
            Freshness::Until(_) => denied("Request expires more than a week ahead."),
            Freshness::At(_) | Freshness::Unknown => RequestError::skewed(),
        })
    }

    /// The string to sign. `bucket` is the bucket that the host names, if it does.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if a parameter or header that is signed is there twice, or could be
    /// taken for another.
    pub fn string_to_sign(&self, bucket: Option<&str>) -> Result<Vec<u8>, RequestError> {
        let mut text = Vec::with_capacity(512);
        self.write_string_to_sign(&mut text, bucket)?;
        Ok(text)
    }

    /// Whether the signature is that of this secret.
    ///
    /// # Errors
    ///
    /// As for [`string_to_sign`](Self::string_to_sign).
    pub fn verify(&self, secret: &SecretKey, bucket: Option<&str>) -> Result<bool, RequestError> {
        let text = self.string_to_sign(bucket)?;
        Ok(self.is_signature_of(secret, &text))
    }

    /// Whether the query has a parameter of this name.
    #[cfg(feature = "s3s")]
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        self.query.parts().any(|(found, _)| found == name)
    }

    /// Whether the signature is that of this text; costs the same for every secret.
    pub(crate) fn is_signature_of(&self, secret: &SecretKey, text: &[u8]) -> bool {
        hash::is_hmac_sha1(secret, text, self.signature.as_ref().map(<[u8; 20]>::as_slice))
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
        text.extend_from_slice(self.date.as_bytes());
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
            // As in version 4: an app that looks at the first would see another value.
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
        // An app decodes names, and what is not signed must not become a subresource so.
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
        this.field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// The date line, and when the headers say that it was signed. `x-amz-date` wins, and
/// is signed as a header, so that the line is empty then.
fn time_of_headers(head: RequestHead<'_>) -> Result<(&str, SystemTime), RequestError> {
    let error = RequestError::no_date();
    let parse = |text| date::parse_http(text).or_else(|| date::parse_iso(text)).ok_or(error);
    if let Some(text) = head.single(&X_AMZ_DATE)? {
        return Ok(("", parse(text)?));
    }
    let text = head.single(&header::DATE)?.ok_or(error)?;
    Ok((text, parse(text)?))
}

/// Whether a decoded value holds what would be signed in the same way if it were
/// parameters of their own: `x&versionId=1`.
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
