//! Renders statuses, headers and faults of the v2.0 dialect.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{entry::Entry, json, xml};
use crate::{
    authority::{Listing, Outcome, View},
    dialect::{
        context::{RETRY_AFTER, RenderContext},
        media::Format,
        path,
    },
    error::{Error, ErrorKind},
};

pub(super) fn outcome(
    outcome: &Outcome,
    format: Format,
    context: &RenderContext<'_>,
) -> Response<Full<Bytes>> {
    let (status, body) = match outcome {
        Outcome::Created(view) => (StatusCode::CREATED, one(view, format)),
        Outcome::Deleted => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            common_headers(&mut response, context);
            return response;
        }
        Outcome::Listed(listing) => (StatusCode::OK, many(listing, format, context)),
        Outcome::Shown(view) | Outcome::Updated(view) => (StatusCode::OK, one(view, format)),
    };
    respond(status, format, body, context)
}

pub(super) fn fault(
    error: &Error,
    format: Format,
    allow: &'static str,
    context: &RenderContext<'_>,
) -> Response<Full<Bytes>> {
    let (status, name) = match error.kind() {
        ErrorKind::BadRequest => (StatusCode::BAD_REQUEST, "badRequest"),
        ErrorKind::Conflict | ErrorKind::QuotaExceeded => (StatusCode::CONFLICT, "conflict"),
        ErrorKind::Forbidden | ErrorKind::NotInProject => (StatusCode::FORBIDDEN, "forbidden"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "identityFault"),
        ErrorKind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "badMethod"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "itemNotFound"),
        ErrorKind::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "overLimit"),
        ErrorKind::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "identityFault"),
        ErrorKind::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "overLimit"),
        ErrorKind::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthorized"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "serviceUnavailable"),
        ErrorKind::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "badMediaType"),
        ErrorKind::UserDisabled => (StatusCode::FORBIDDEN, "userDisabled"),
    };
    let body = match format {
        Format::Json => json::fault(name, status.as_u16(), error.message()),
        Format::Xml => xml::fault(name, status.as_u16(), error.message()).into(),
    };
    let mut response = respond(status, format, body, context);
    let headers = response.headers_mut();
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        StatusCode::TOO_MANY_REQUESTS => {
            headers.insert(header::RETRY_AFTER, context.until_next_minute());
        }
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Keystone"));
        }
        _ => {}
    }
    response
}

fn one(view: &View, format: Format) -> Bytes {
    let entry = Entry::of(view);
    match format {
        Format::Json => json::one(&entry),
        Format::Xml => xml::one(&entry).into(),
    }
}

fn many(listing: &Listing, format: Format, context: &RenderContext<'_>) -> Bytes {
    let next = listing.next.as_deref().map(|marker| next_link(marker, context));
    match format {
        Format::Json => json::many(listing, next.as_deref()),
        Format::Xml => xml::many(listing.views.iter().map(Entry::of), next.as_deref()).into(),
    }
}

/// A link to the same list after this marker.
fn next_link(marker: &str, context: &RenderContext<'_>) -> String {
    let uri = &context.head.uri;
    let mut link = context.origin();
    link.push_str(uri.path());
    link.push_str("?marker=");
    link.extend(utf8_percent_encode(marker, NON_ALPHANUMERIC));
    if let Ok(Some(limit)) = path::query_value(uri.query(), "limit") {
        link.push_str("&limit=");
        link.extend(utf8_percent_encode(&limit, NON_ALPHANUMERIC));
    }
    link
}

fn respond(
    status: StatusCode,
    format: Format,
    body: Bytes,
    context: &RenderContext<'_>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let content_type = match format {
        Format::Json => HeaderValue::from_static("application/json"),
        Format::Xml => HeaderValue::from_static("application/xml"),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    common_headers(&mut response, context);
    response
}

fn common_headers(response: &mut Response<Full<Bytes>>, context: &RenderContext<'_>) {
    let headers = response.headers_mut();
    headers.insert(header::DATE, context.date());
    headers.insert(header::VARY, HeaderValue::from_static("Accept, X-Auth-Token"));
}
