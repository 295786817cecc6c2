//! Renders the parts that all responses of v3 and OS-EC2 share. OS-EC2 is under v2.0 too.
//!
//! Every response has `Vary`, and an `x-openstack-request-id`: that of the request's extensions, or a
//! fresh one. A 401 names the service in `WWW-Authenticate`. Errors are `{"error": {..}}`, and bodies end in a
//! newline. `HEAD` works wherever `GET` does, and `OPTIONS` returns the methods to any
//! caller.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::Full;
use serde::Serialize;

use super::{
    body,
    context::{ErrorObject, RETRY_AFTER, RenderContext},
    json::{self, Object},
    media::{self, ContentType, Format},
};
use crate::{
    error::{Error, ErrorKind},
    origin::RequestId,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const VARY: HeaderValue = HeaderValue::from_static("X-Auth-Token");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Renders the responses to one request.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The length of the dialect's prefix in the path.
    prefix: usize,
    /// The methods of the path, for `Allow`.
    allow: &'static str,
    /// Keystone's name of the operation; empty if the request is refused as it stands.
    action: &'static str,
    /// Whether the response goes without its body.
    head_only: bool,
}

impl Frame {
    /// The frame of a request to do this action.
    pub(super) fn new(
        prefix: &str,
        method: &Method,
        allow: &'static str,
        action: &'static str,
    ) -> Self {
        let head_only = *method == Method::HEAD;
        Self { prefix: prefix.len(), allow, action, head_only }
    }

    /// The start of links to the dialect's paths: `http://host/v3`.
    pub(super) fn base(&self, context: &RenderContext<'_>) -> String {
        let mut base = context.origin();
        base.push_str(context.head.uri.path().get(..self.prefix).unwrap_or_default());
        base
    }

    /// A response with this body, which has this number of credentials.
    pub(super) fn body(
        &self,
        status: StatusCode,
        body: &impl Serialize,
        credentials: usize,
    ) -> Response<Full<Bytes>> {
        let mut response = self::body(status, body, credentials);
        if self.head_only {
            let length = response.body().size_hint().exact().unwrap_or_default();
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            *response.body_mut() = Full::default();
        }
        response
    }

    /// The response to a request that is refused or failed.
    pub(super) fn error(
        &self,
        error: &Error,
        context: &RenderContext<'_>,
    ) -> Response<Full<Bytes>> {
        let status = status(error.kind());
        let named;
        let error = if error.kind() == ErrorKind::Forbidden && !self.action.is_empty() {
            let message = error.message().trim_end_matches('.');
            named = Error::new(ErrorKind::Forbidden, format!("{message}: {}.", self.action));
            &named
        } else {
            error
        };
        let mut response = self.body(status, &ErrorObject::new(status, error), 0);
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                let uri = self.base(context);
                // A host that cannot stand in a header, or would end the quotes, is
                // not repeated.
                let quotable = !uri.contains(['"', '\\']);
                let named = HeaderValue::try_from(format!("Keystone uri=\"{uri}\""));
                let value = named.ok().filter(|_| quotable);
                let value = value.unwrap_or(HeaderValue::from_static("Keystone"));
                headers.insert(header::WWW_AUTHENTICATE, value);
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static(self.allow));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, context.until_next_minute());
            }
            _ => {}
        }
        response
    }
}

/// The method of a request, where `HEAD` counts as `GET`.
pub(super) fn routed_method(method: &Method) -> &Method {
    if *method == Method::HEAD { &Method::GET } else { method }
}

/// The response to `OPTIONS`.
pub(crate) fn options(allow: &'static str, id: Option<&RequestId>) -> Response<Full<Bytes>> {
    let mut response = empty(StatusCode::OK);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    with_id(response, id)
}

/// Adds the id of the request, or a fresh id.
pub(super) fn with_id(
    mut response: Response<Full<Bytes>>,
    id: Option<&RequestId>,
) -> Response<Full<Bytes>> {
    let id = id.map_or_else(|| RequestId::random().header(), RequestId::header);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// A response with this body, which has this number of credentials.
pub(super) fn body(
    status: StatusCode,
    body: &impl Serialize,
    credentials: usize,
) -> Response<Full<Bytes>> {
    let mut response = empty(status);
    *response.body_mut() = Full::new(body::json(body, credentials));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().insert(header::VARY, VARY);
    response
}

/// The members of a body. An empty body is an object without members.
///
/// # Errors
///
/// A bad request, never 415, if the media type is not JSON or the body is not an object.
pub(super) fn read<'a>(head: &Parts, body: &'a [u8]) -> Result<Object<'a>, Error> {
    if body.is_empty() {
        return Ok(Object::new());
    }
    match media::content_type(&head.headers) {
        ContentType::Format(Format::Json) | ContentType::Missing => json::object(body),
        ContentType::Format(Format::Xml) | ContentType::Other => {
            Err(Error::bad_request("The Content-Type must be application/json."))
        }
    }
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::BadRequest | ErrorKind::UnsupportedMediaType => StatusCode::BAD_REQUEST,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Forbidden | ErrorKind::NotInProject | ErrorKind::QuotaExceeded => {
            StatusCode::FORBIDDEN
        }
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unauthenticated | ErrorKind::UserDisabled => StatusCode::UNAUTHORIZED,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}
