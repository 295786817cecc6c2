//! What the front answers itself, where Keystone does not.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde_json::json;

pub type BoxError = Box<dyn Error + Send + Sync>;

/// The body of an answer: Keystone's as it arrives, or one of the front's own.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// When to try again what failed for want of Keystone.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A refusal in Keystone's shape: the `error` object.
pub fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or_default();
    let error = json!({"error": {"code": status.as_u16(), "message": message, "title": title}});
    let mut answer = Response::new(full(format!("{error}\n")));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

/// A refusal of what may work a moment later.
pub fn try_again(status: StatusCode, message: &str) -> Response<Body> {
    let mut answer = refusal(status, message);
    answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    answer
}

/// The answer to the health check.
pub fn healthy() -> Response<Body> {
    Response::new(full("ok\n"))
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}
