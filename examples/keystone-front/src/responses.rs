//! Responses of the front itself.

use std::{error::Error, iter::successors, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full, combinators::UnsyncBoxBody};
use serde_json::json;

use crate::limits::Unlimited;

pub type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a response: Keystone's stream, or one of the front's own.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// When clients should retry after Keystone failed.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// An error response in Keystone's format: the `error` object.
pub fn error_response(status: StatusCode, message: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or_default();
    let error = json!({"error": {"code": status.as_u16(), "message": message, "title": title}});
    let mut response = Response::new(full(format!("{error}\n")));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// An error response with `Retry-After`.
pub fn retry_later(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = error_response(status, message);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

const UNLIMITED: &str = "The key pair cannot be mirrored to Keystone: Keystone cannot store the \
                         limits of the login that created the key pair.";

/// Replaces the message of a response if the mirror rejected the record. `CredentialLayer` has one
/// message for all records that a backend cannot store.
///
/// v2.0 has another error format, but the mirror never rejects its records: they have no
/// delegation.
pub fn explain_limits<B>(response: Response<B>) -> Response<Either<B, Body>> {
    let error = response.extensions().get::<Arc<tower_credentials::Error>>();
    if !error.is_some_and(|error| is_unlimited(&**error)) {
        return response.map(Either::Left);
    }
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    let body = error_response(head.status, UNLIMITED).into_body();
    Response::from_parts(head, Either::Right(body))
}

fn is_unlimited(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |&error| error.source()).any(<dyn Error>::is::<Unlimited>)
}
