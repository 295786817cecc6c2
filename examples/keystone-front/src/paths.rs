//! Normalizes paths, so that `CredentialLayer` and Keystone see the same path.
//!
//! Keystone decodes a path and merges its slashes; the layer does not. So this layer decodes
//! percent-encoded unreserved characters (RFC 3986, section 2.3), and merges slashes as Keystone
//! and its web servers do. It rejects a path that servers interpret in different ways. The other
//! bytes of a path do not change.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode, Uri, uri::PathAndQuery};
use http_body_util::Either;
use tower::{Layer, Service};

use crate::responses::{Body, error_response};

/// Normalizes the paths of requests.
#[derive(Clone, Copy, Debug)]
pub struct NormalizePathLayer;

/// See [`NormalizePathLayer`].
#[derive(Clone, Debug)]
pub struct NormalizePath<S>(S);

impl<S> Layer<S> for NormalizePathLayer {
    type Service = NormalizePath<S>;

    fn layer(&self, inner: S) -> NormalizePath<S> {
        NormalizePath(inner)
    }
}

impl<S, B, R> Service<Request<B>> for NormalizePath<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<Either<R, Body>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match normalized_uri(request.uri()) {
            Ok(None) => {}
            Ok(Some(uri)) => *request.uri_mut() = uri,
            Err(message) => {
                let error = error_response(StatusCode::BAD_REQUEST, message).map(Either::Right);
                return Box::pin(async { Ok(error) });
            }
        }
        let response = self.0.call(request);
        Box::pin(async { Ok(response.await?.map(Either::Left)) })
    }
}

/// The URI with a normalized path; `None` if the path is normalized already. The error is the
/// message for the client.
fn normalized_uri(uri: &Uri) -> Result<Option<Uri>, &'static str> {
    // `CONNECT` has no path.
    let Some(original) = uri.path_and_query() else { return Ok(None) };
    if original.path() == "*" {
        return Ok(None);
    }
    let mut normalized = normalize(original.path())?;
    if normalized == original.path() {
        return Ok(None);
    }
    if let Some(query) = original.query() {
        normalized.push('?');
        normalized.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    let unfit = "The path is not valid.";
    parts.path_and_query = Some(PathAndQuery::try_from(normalized).map_err(|_| unfit)?);
    Uri::from_parts(parts).map(Some).map_err(|_| unfit)
}

fn normalize(path: &str) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err("The path must start with a slash.");
    }
    let mut normalized = String::with_capacity(path.len());
    let mut pieces = path.split('%');
    push(&mut normalized, pieces.next().unwrap_or_default())?;
    for piece in pieces {
        // A single percent sign could become a code after its neighbors are decoded.
        let code = piece.get(..2).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        let (Some(code), Some(byte)) = (code, byte) else {
            return Err("The path contains a percent sign without two hex digits.");
        };
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            normalized.push(char::from(byte));
        } else if byte == b'/' || is_ambiguous(byte) {
            return Err("The path contains an encoded character that is not allowed.");
        } else {
            normalized.push('%');
            normalized.push_str(code);
        }
        push(&mut normalized, &piece[2..])?;
    }
    if normalized.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("The path contains the segment . or ..");
    }
    Ok(normalized)
}

/// Appends text without codes, and merges slashes.
fn push(normalized: &mut String, text: &str) -> Result<(), &'static str> {
    if text.bytes().any(is_ambiguous) {
        return Err("The path contains a character that is not allowed.");
    }
    for character in text.chars() {
        if character != '/' || !normalized.ends_with('/') {
            normalized.push(character);
        }
    }
    Ok(())
}

/// Whether some servers treat the byte as a slash or as the end of a path.
fn is_ambiguous(byte: u8) -> bool {
    byte == b'\\' || byte.is_ascii_control()
}
