//! The parts of a signature of version 4, as the header and the query state them.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use http::header;

use super::super::{
    error::{RequestError, S3ErrorCode},
    head::{Named, RequestHead},
    headers,
    query::Query,
};
use crate::signature::{date, scan, signing_key::CredentialScope};

/// The longest lifetime of a presigned URL, in seconds: seven days.
const MAX_EXPIRES: u64 = 7 * 24 * 60 * 60;

/// The service of a signature, and what the clients of that service sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Iam,
    S3,
    Sts,
}

impl Service {
    /// Returns the name in a scope.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::S3 => "s3",
            Self::Sts => "sts",
        }
    }

    /// Returns whether the region may be empty. Some clients know none for services without S3.
    pub(super) fn has_empty_region(self) -> bool {
        self != Self::S3
    }
}

/// Checks what both forms have in common. Returns the ends of the access key and the region.
#[inline]
pub(super) fn check(
    named: &Named<'_>,
    service: Service,
    (credential, signed_headers): (&str, &str),
    timestamp: &str,
    malformed: fn(&'static str) -> RequestError,
) -> Result<(usize, usize), RequestError> {
    let Ok((access_key, scope)) = CredentialScope::parse_credential(credential) else {
        return Err(malformed(
            "The Credential is malformed; expecting \
             \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        ));
    };
    if scope.service() != service.as_str() {
        return Err(malformed("The Credential names an incorrect service."));
    }
    if scope.region().is_empty() && !service.has_empty_region() {
        return Err(malformed("The Credential names no region."));
    }
    if !timestamp.starts_with(scope.date()) {
        return Err(malformed("The Credential is for another day than the request's date."));
    }
    headers::check(named.of_amazon, signed_headers, malformed)?;
    let access_end = access_key.len();
    Ok((access_end, access_end + "/YYYYMMDD/".len() + scope.region().len()))
}

/// Parses the three members of the header, in the order in which all clients send them.
pub(super) fn parse_header(rest: &str) -> Option<(&str, &str, &str)> {
    // From the end, since an access key may contain commas.
    let (rest, signature) = scan::rsplit(rest, b',')?;
    let (credential, signed_headers) = scan::rsplit(rest, b',')?;
    let credential = credential.trim_ascii().strip_prefix("Credential=")?;
    let signed_headers = signed_headers.trim_ascii().strip_prefix("SignedHeaders=")?;
    let signature = signature.trim_ascii().strip_prefix("Signature=")?;
    (!signature.is_empty()).then_some((credential, signed_headers, signature))
}

/// Returns the signing time of the headers: `x-amz-date`, or else `Date`.
pub(super) fn time_of_headers<'a>(
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

pub(super) fn parse_expires(text: &str) -> Result<Duration, RequestError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(seconds @ 1..=MAX_EXPIRES) if digits => Ok(Duration::from_secs(seconds)),
        _ => Err(RequestError::query(
            "X-Amz-Expires must be a number of seconds, at least 1 and at most a week (604800).",
        )),
    }
}

/// Returns what a presigned request declares about its body. Without a declaration the body is
/// unsigned.
pub(super) fn declared_of_presigned<'a>(
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
