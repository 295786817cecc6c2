//! Whether the server is alive.

use http::{Method, Request, header};

/// `GET /healthz` by nobody in particular; a signed request is the bucket's.
pub(crate) fn is_check<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.uri().path() == "/healthz"
        && request.uri().query().is_none()
        && !request.headers().contains_key(header::AUTHORIZATION)
}
