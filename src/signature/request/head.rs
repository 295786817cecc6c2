//! The head of a request: what a signature may cover, except the body.

use std::{fmt, str};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};

use super::{
    error::{RequestError, S3ErrorCode},
    payload::Payload,
};
use crate::signature::signing_key::ALGORITHM;

/// A request's head: everything that a signature may cover, except the body.
///
/// The path must be the one that the client sent. A router that strips a prefix first breaks
/// every signature.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

impl<'a> RequestHead<'a> {
    /// Creates a head from its parts.
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

    /// Returns the host that the request is for, with its port if the client sent one:
    /// `Host`, or `:authority` of HTTP/2.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the host is missing, empty or duplicate, or if both differ.
    pub fn host(&self) -> Result<&'a str, RequestError> {
        self.host_of(self.one(&header::HOST))
    }

    /// The same, given the header.
    pub(super) fn host_of(&self, header: One<'a>) -> Result<&'a str, RequestError> {
        let header = header.text()?;
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

    /// Returns what `x-amz-content-sha256` declares about the body.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the header is malformed or duplicate.
    pub fn declared(&self) -> Result<Payload, RequestError> {
        self.named().content_sha256.text()?.map_or(Ok(Payload::Unsigned), Payload::parse)
    }

    /// Returns a header that may occur at most once and must be ASCII.
    pub(super) fn single(&self, name: &HeaderName) -> Result<Option<&'a str>, RequestError> {
        self.one(name).text()
    }

    fn one(&self, name: &HeaderName) -> One<'a> {
        self.headers.get_all(name).iter().collect()
    }

    /// Finds all headers that concern a signature, in one pass.
    pub(super) fn named(&self) -> Named<'a> {
        let mut named = Named::default();
        let mut previous = None;
        for (name, value) in self.headers {
            if *name == header::AUTHORIZATION {
                named.authorization.add(value);
            } else if *name == header::HOST {
                named.host.add(value);
            } else if let Some(rest) = name.as_str().strip_prefix(OF_AMAZON) {
                match rest {
                    "content-sha256" => named.content_sha256.add(value),
                    "date" => named.date.add(value),
                    "security-token" => named.session_token.add(value),
                    _ => {}
                }
                // The values of one name follow one another.
                named.of_amazon += usize::from(Some(rest) != previous);
                previous = Some(rest);
            }
        }
        named
    }
}

/// The prefix of the names of Amazon's headers.
pub(super) const OF_AMAZON: &str = "x-amz-";

/// The headers that concern a signature.
#[derive(Clone, Copy, Default)]
pub(super) struct Named<'a> {
    pub(super) authorization: One<'a>,
    pub(super) host: One<'a>,
    /// `x-amz-content-sha256`.
    pub(super) content_sha256: One<'a>,
    /// `x-amz-date`.
    pub(super) date: One<'a>,
    /// `x-amz-security-token`.
    pub(super) session_token: One<'a>,
    /// The number of distinct `x-amz-` headers.
    pub(super) of_amazon: usize,
}

/// A header that may occur at most once.
#[derive(Clone, Copy, Default)]
pub(super) enum One<'a> {
    #[default]
    None,
    Once(&'a HeaderValue),
    Twice,
}

impl<'a> FromIterator<&'a HeaderValue> for One<'a> {
    fn from_iter<T: IntoIterator<Item = &'a HeaderValue>>(values: T) -> Self {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(value), None) => Self::Once(value),
            (Some(_), Some(_)) => Self::Twice,
        }
    }
}

impl<'a> One<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        *self = match self {
            Self::None => Self::Once(value),
            Self::Once(_) | Self::Twice => Self::Twice,
        };
    }

    /// Returns the text of the header, if it occurs.
    pub(super) fn text(self) -> Result<Option<&'a str>, RequestError> {
        let error = |message| Err(RequestError::new(S3ErrorCode::InvalidArgument, message));
        match self {
            Self::None => Ok(None),
            // Like `HeaderValue::to_str`, which checks the bytes one by one and is slower.
            Self::Once(value) => match str::from_utf8(value.as_bytes()) {
                Ok(text) if text.is_ascii() => Ok(Some(text)),
                _ => error("A header holds characters that it may not."),
            },
            Self::Twice => Err(RequestError::header_twice()),
        }
    }
}

/// The versions of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    V2,
    V4,
}

impl Scheme {
    /// Returns the scheme of an `Authorization` header, and the text after its name. `None`
    /// for a scheme that is not Amazon's.
    pub(super) fn of_header(text: &str) -> Result<Option<(Self, &str)>, RequestError> {
        // Nearly all requests have this one.
        if let Some(rest) = text.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' ')) {
            return Ok(Some((Self::V4, rest)));
        }
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        match name {
            ALGORITHM => Ok(Some((Self::V4, rest))),
            "AWS" => Ok(Some((Self::V2, rest))),
            // Another spelling or another algorithm of Amazon's.
            _ if name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("AWS")) => {
                Err(RequestError::unsupported())
            }
            _ => Ok(None),
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
