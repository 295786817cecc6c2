//! One spelling for each path, before anybody goes by it.
//!
//! Keystone decodes a path and merges its slashes before it looks at it, the layer
//! takes it as written. So that both see the same path, what means the same by RFC
//! 3986 is made the same here: unreserved characters that are percent-encoded are
//! decoded (section 2.3). Runs of slashes become one, as in Keystone and in the web
//! servers around it. What cannot be told apart after decoding, or is read in
//! different ways, is refused. All else stays as it came, byte for byte.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode, Uri, uri::PathAndQuery};
use http_body_util::Either;
use tower::{Layer, Service};

use crate::answers::{Body, refusal};

/// Wraps a service that is to see one spelling of each path.
#[derive(Clone, Copy, Debug)]
pub struct SpellingLayer;

/// See [`SpellingLayer`].
#[derive(Clone, Debug)]
pub struct Spelling<S>(S);

impl<S> Layer<S> for SpellingLayer {
    type Service = Spelling<S>;

    fn layer(&self, inner: S) -> Spelling<S> {
        Spelling(inner)
    }
}

impl<S, B, R> Service<Request<B>> for Spelling<S>
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
        match respelled(request.uri()) {
            Ok(None) => {}
            Ok(Some(uri)) => *request.uri_mut() = uri,
            Err(message) => {
                let refused = refusal(StatusCode::BAD_REQUEST, message).map(Either::Right);
                return Box::pin(async { Ok(refused) });
            }
        }
        let answer = self.0.call(request);
        Box::pin(async { Ok(answer.await?.map(Either::Left)) })
    }
}

/// The same URI with its path in the one spelling, unless it has that already; or why
/// it is refused.
fn respelled(uri: &Uri) -> Result<Option<Uri>, &'static str> {
    // `CONNECT` has no path.
    let Some(asked) = uri.path_and_query() else { return Ok(None) };
    if asked.path() == "*" {
        return Ok(None);
    }
    let mut spelled = spelled(asked.path())?;
    if spelled == asked.path() {
        return Ok(None);
    }
    if let Some(query) = asked.query() {
        spelled.push('?');
        spelled.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    let unfit = "The path cannot be used.";
    parts.path_and_query = Some(PathAndQuery::try_from(spelled).map_err(|_| unfit)?);
    Uri::from_parts(parts).map(Some).map_err(|_| unfit)
}

fn spelled(path: &str) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err("The path must start with a slash.");
    }
    let mut spelled = String::with_capacity(path.len());
    let mut pieces = path.split('%');
    push(&mut spelled, pieces.next().unwrap_or_default())?;
    for piece in pieces {
        // A lone percent sign could become a whole code once its neighbours are decoded.
        let code = piece.get(..2).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        let (Some(code), Some(byte)) = (code, byte) else {
            return Err("The path holds a percent sign that encodes nothing.");
        };
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            spelled.push(char::from(byte));
        } else if byte == b'/' || is_refused(byte) {
            return Err("The path holds an encoded character that is not allowed.");
        } else {
            spelled.push('%');
            spelled.push_str(code);
        }
        push(&mut spelled, &piece[2..])?;
    }
    if spelled.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("The path holds a segment of dots.");
    }
    Ok(spelled)
}

/// Adds what is not encoded, without a second slash after a first.
fn push(spelled: &mut String, text: &str) -> Result<(), &'static str> {
    if text.bytes().any(is_refused) {
        return Err("The path holds a character that is not allowed.");
    }
    for character in text.chars() {
        if character != '/' || !spelled.ends_with('/') {
            spelled.push(character);
        }
    }
    Ok(())
}

/// What some servers take for a slash or for the end of a path.
fn is_refused(byte: u8) -> bool {
    byte == b'\\' || byte.is_ascii_control()
}
