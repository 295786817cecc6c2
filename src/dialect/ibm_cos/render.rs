//! Renders statuses, headers and bodies of the IBM COS dialect.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use rand::RngExt;
use serde::Serialize;
use serde_json::Value;

use crate::{
    authority::{Outcome, SUBJECT, View},
    dialect::{
        body::{self, Each},
        context::{ErrorObject, RETRY_AFTER, RenderContext},
        last_used::LastUse,
        terms,
    },
    domain::{AccessKey, SecretKey},
    error::{Error, ErrorKind},
};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

const X_TIMESTAMP: HeaderName = HeaderName::from_static("x-timestamp");
const X_TRANS_ID: HeaderName = HeaderName::from_static("x-trans-id");

#[derive(Serialize)]
struct One<'a> {
    credential: Shape<'a>,
}

#[derive(Serialize)]
struct Many<T> {
    credentials: T,
}

/// The credential object.
#[derive(Serialize)]
struct Shape<'a> {
    user_id: &'a str,
    blob: BlobShape<'a>,
    project_id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_ibm_id: Option<&'a str>,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<LastUse>,
    #[serde(flatten)]
    terms: terms::Shape<'a>,
}

#[derive(Serialize)]
struct BlobShape<'a> {
    access: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    status: &'static str,
}

pub(in crate::dialect) fn outcome(
    outcome: &Outcome,
    context: &RenderContext<'_>,
) -> Response<Full<Bytes>> {
    match outcome {
        Outcome::Created(view) => one(StatusCode::CREATED, view, context),
        Outcome::Deleted => {
            let mut response = respond(StatusCode::NO_CONTENT, None, context, context.now);
            accept_ranges(&mut response);
            response
        }
        Outcome::Listed(listing) => {
            let views = &*listing.views;
            let credentials = Each { views, shape: |view| shape(view, context.now) };
            let body = Some(body::json(&Many { credentials }, views.len()));
            let mut response = respond(StatusCode::OK, body, context, context.now);
            accept_ranges(&mut response);
            response
        }
        Outcome::Shown(view) | Outcome::Updated(view) => {
            let mut response = one(StatusCode::OK, view, context);
            accept_ranges(&mut response);
            response
        }
    }
}

/// IBM documents no error body. The rest of its API is Keystone's, and so is this body.
pub(super) fn error(
    error: &Error,
    allow: &'static str,
    context: &RenderContext<'_>,
) -> Response<Full<Bytes>> {
    let status = match error.kind() {
        ErrorKind::BadRequest => StatusCode::BAD_REQUEST,
        ErrorKind::Conflict | ErrorKind::QuotaExceeded => StatusCode::CONFLICT,
        ErrorKind::Forbidden | ErrorKind::UserDisabled => StatusCode::FORBIDDEN,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        // "The user may be valid, but has no privileges to access the storage account."
        ErrorKind::MethodNotAllowed | ErrorKind::NotInProject => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        // As S3's `SlowDown`: IBM documents no 429.
        ErrorKind::TooManyRequests | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    };
    let body = body::json(&ErrorObject::new(status, error), 0);
    let mut response = respond(status, Some(body), context, context.now);
    let headers = response.headers_mut();
    match status {
        // RFC 9110 requires `Allow` on every 405, whatever this dialect means by 405.
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            let is_over = error.kind() == ErrorKind::TooManyRequests;
            let retry_after = if is_over { context.until_next_minute() } else { RETRY_AFTER };
            headers.insert(header::RETRY_AFTER, retry_after);
        }
        StatusCode::UNAUTHORIZED => {
            let challenge = HeaderValue::from_static("Basic realm=\"credentials\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        _ => {}
    }
    response
}

fn one(status: StatusCode, view: &View, context: &RenderContext<'_>) -> Response<Full<Bytes>> {
    let body = body::json(&One { credential: shape(view, context.now) }, 1);
    respond(status, Some(body), context, view.credential.updated_at)
}

fn shape(view: &View, now: SystemTime) -> Shape<'_> {
    let credential = &*view.credential;
    // This dialect finds key pairs by their access key, so each has one.
    let access = credential.access_key.as_ref().map_or("", AccessKey::as_str);
    let secret = credential.secret_key().filter(|_| view.shows_secret());
    Shape {
        user_id: credential.user_id.as_str(),
        blob: BlobShape {
            access,
            secret: secret.map(SecretKey::expose),
            status: credential.status.as_str(),
        },
        project_id: credential.project_id.as_ref().map(AsRef::as_ref),
        kind: credential.kind.as_str(),
        subject_ibm_id: credential.attributes.get(SUBJECT).and_then(Value::as_str),
        id: access,
        last_used: LastUse::of(view.last_used),
        terms: terms::Shape::of_ibm(credential, now),
    }
}

fn respond(
    status: StatusCode,
    body: Option<Bytes>,
    context: &RenderContext<'_>,
    timestamp: SystemTime,
) -> Response<Full<Bytes>> {
    let mut headers = HeaderMap::with_capacity(8);
    // No Content-Type on 204: IBM's sample has one, but no body.
    if body.is_some() {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    headers.insert(header::DATE, context.date());
    headers.insert(X_TRANS_ID, trans_id(context.now));
    headers.insert(X_TIMESTAMP, x_timestamp(timestamp));
    let mut response = Response::new(Full::new(body.unwrap_or_default()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn accept_ranges(response: &mut Response<Full<Bytes>>) {
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

/// `tx`, 21 random hex digits, `-`, and ten hex digits of the time, as Swift makes them.
fn trans_id(now: SystemTime) -> HeaderValue {
    let mut id = *b"tx000000000000000000000-0000000000";
    let random: [u8; 11] = rand::rng().random();
    let mut hex = [0; 22];
    HEXLOWER.encode_mut(&random, &mut hex);
    id[2..23].copy_from_slice(&hex[..21]);
    // Ten digits hold five bytes, enough until the year 36,812.
    HEXLOWER.encode_mut(&since_epoch(now).as_secs().to_be_bytes()[3..], &mut id[24..]);
    ascii(&id)
}

/// Unix seconds with five decimals, padded to 16 characters, as Swift writes them.
fn x_timestamp(time: SystemTime) -> HeaderValue {
    let since = since_epoch(time);
    let mut text = *b"0000000000.00000";
    decimal(&mut text[..10], since.as_secs());
    decimal(&mut text[11..], u64::from(since.subsec_micros() / 10));
    ascii(&text)
}

/// Writes a number into all of the digits.
fn decimal(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn ascii(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).expect("hex and digits are valid in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trans_ids_have_swifts_form_and_contain_the_time() {
        let id = trans_id(UNIX_EPOCH + Duration::from_secs(0x56eb_522a));
        let (random, time) =
            id.to_str().unwrap().strip_prefix("tx").unwrap().split_once('-').unwrap();
        assert_eq!(time, "0056eb522a");
        assert_eq!(random.len(), 21);
        assert!(random.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()));
        assert_ne!(id, trans_id(UNIX_EPOCH + Duration::from_secs(0x56eb_522a)));
    }

    #[test]
    fn timestamps_have_five_decimals_and_sixteen_characters() {
        let time = UNIX_EPOCH + Duration::new(1_458_262_564, 227_740_000);
        assert_eq!(x_timestamp(time), "1458262564.22774");
        assert_eq!(x_timestamp(UNIX_EPOCH), "0000000000.00000");
    }
}
