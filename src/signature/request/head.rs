//! What of a request a signature may cover.

use std::fmt;

use http::{HeaderMap, HeaderName, Method, Request, Uri, header, request::Parts};

use super::error::{RequestError, S3ErrorCode};

/// With more headers than this, each is looked up; below, looking through all of them
/// is quicker than hashing a name.
pub(super) const FEW: usize = 24;

/// A request's head: all that a signature is about, but the body.
///
/// The path must be the one that the client sent: a router that strips a prefix
/// before breaks every signature.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

impl<'a> RequestHead<'a> {
    /// A head of these parts.
    #[must_use]
    pub fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        Self { method, uri, headers }
    }

    pub(crate) fn method(&self) -> &'a Method {
        self.method
    }

    pub(crate) fn uri(&self) -> &'a Uri {
        self.uri
    }

    pub(crate) fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The host that the request is for, with its port if it was sent: `Host`, or
    /// `:authority` of HTTP/2.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if there is none, more than one, or two that differ.
    pub fn host(&self) -> Result<&'a str, RequestError> {
        let header = self.single(&header::HOST)?;
        let authority = self.uri.authority().map(http::uri::Authority::as_str);
        let error = |message| RequestError::new(S3ErrorCode::InvalidRequest, message);
        match (header, authority) {
            (Some(header), Some(authority)) if header != authority => {
                Err(error("The request names two hosts."))
            }
            (Some(host), _) | (None, Some(host)) if !host.is_empty() => Ok(host),
            _ => Err(error("The request names no host.")),
        }
    }

    /// A header that may be there once at most, and holds visible ASCII.
    pub(super) fn single(&self, name: &HeaderName) -> Result<Option<&'a str>, RequestError> {
        let (first, another) = if self.headers.len() <= FEW {
            let mut values = self.headers.iter().filter(|(other, _)| *other == name);
            (values.next().map(|(_, value)| value), values.next().is_some())
        } else {
            let mut values = self.headers.get_all(name).iter();
            (values.next(), values.next().is_some())
        };
        let Some(first) = first else { return Ok(None) };
        let error = |message| Err(RequestError::new(S3ErrorCode::InvalidArgument, message));
        if another {
            return error("A header that may be there once is there twice.");
        }
        match first.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => error("A header holds characters that it may not."),
        }
    }
}

impl<'a, B> From<&'a Request<B>> for RequestHead<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self::new(request.method(), request.uri(), request.headers())
    }
}

impl<'a> From<&'a Parts> for RequestHead<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self::new(&parts.method, &parts.uri, &parts.headers)
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead").field("method", self.method).finish_non_exhaustive()
    }
}
