//! What of a request a signature may cover.

use std::{fmt, str};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};

use super::{
    error::{RequestError, S3ErrorCode},
    payload::Payload,
};

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

    /// What `x-amz-content-sha256` declares of the body; nothing, if it is not there.
    pub(crate) fn declared(&self) -> Result<Payload, RequestError> {
        self.named().content_sha256.text()?.map_or(Ok(Payload::Unsigned), Payload::parse)
    }

    /// A header that may be there once at most, and holds visible ASCII.
    pub(super) fn single(&self, name: &HeaderName) -> Result<Option<&'a str>, RequestError> {
        let mut values = self.headers.get_all(name).iter();
        let one = values.next().map_or(One::None, One::Once);
        if values.next().is_some() { One::Twice } else { one }.text()
    }

    /// The headers that tell of a signature, all found in one pass.
    pub(super) fn named(&self) -> Named<'a> {
        let mut named = Named::default();
        let mut previous = "";
        for (name, value) in self.headers {
            match name.as_str() {
                "authorization" => named.authorization.add(value),
                name if name.starts_with(OF_AMAZON) => {
                    match &name[OF_AMAZON.len()..] {
                        "content-sha256" => named.content_sha256.add(value),
                        "date" => named.date.add(value),
                        "security-token" => named.has_session_token = true,
                        _ => {}
                    }
                    // The values of one name follow one another.
                    named.of_amazon += usize::from(name != previous);
                    previous = name;
                }
                _ => {}
            }
        }
        named
    }
}

/// How the names of Amazon's headers start.
pub(super) const OF_AMAZON: &str = "x-amz-";

/// Headers that tell of a signature.
#[derive(Clone, Copy, Default)]
pub(super) struct Named<'a> {
    pub(super) authorization: One<'a>,
    /// `x-amz-content-sha256`.
    pub(super) content_sha256: One<'a>,
    /// `x-amz-date`.
    pub(super) date: One<'a>,
    pub(super) has_session_token: bool,
    /// How many headers of Amazon's there are, each name counted once.
    pub(super) of_amazon: usize,
}

/// A header that may be there once at most.
#[derive(Clone, Copy, Default)]
pub(super) enum One<'a> {
    #[default]
    None,
    Once(&'a HeaderValue),
    Twice,
}

impl<'a> One<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        *self = match self {
            Self::None => Self::Once(value),
            Self::Once(_) | Self::Twice => Self::Twice,
        };
    }

    /// Its text, if it is there.
    pub(super) fn text(self) -> Result<Option<&'a str>, RequestError> {
        let error = |message| Err(RequestError::new(S3ErrorCode::InvalidArgument, message));
        match self {
            Self::None => Ok(None),
            // As `HeaderValue::to_str`, which looks at one byte after the other.
            Self::Once(value) => match str::from_utf8(value.as_bytes()) {
                Ok(text) if text.is_ascii() => Ok(Some(text)),
                _ => error("A header holds characters that it may not."),
            },
            Self::Twice => Err(RequestError::header_twice()),
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
