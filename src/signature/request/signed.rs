//! [`SignedRequest`]: a signed request of either version.

use std::borrow::Cow;

use super::{
    error::{RequestError, S3ErrorCode},
    head::{Named, One, RequestHead, Scheme},
    query::Query,
    v2::{self, V2Request},
    v4::{self, V4Request},
};

/// A signed S3 request, of either version.
///
/// `Debug` shows the access key only: everybody who has a signature can use it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SignedRequest<'a> {
    /// AWS Signature Version 2.
    V2(V2Request<'a>),
    /// AWS Signature Version 4.
    V4(V4Request<'a>),
}

impl<'a> SignedRequest<'a> {
    /// Parses the signature of a request. Returns `None` if the request is not signed.
    ///
    /// An `Authorization` header of a scheme that is not Amazon's is not a signature.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request is signed in a way that can never verify.
    #[inline]
    pub fn parse(head: RequestHead<'a>) -> Result<Option<Self>, RequestError> {
        let named = head.named();
        let header = match named.authorization.text()? {
            Some(text) => Scheme::of_header(text)?,
            None => None,
        };
        let query = Query::of(head.uri());
        let presigned = query.scheme()?;
        if header.is_none() && presigned.is_none() {
            return Ok(None);
        }
        check_session_token((header, presigned), &named, query)?;
        let signed = match (header, presigned) {
            (Some((Scheme::V2, rest)), None) => Self::V2(V2Request::of_header(head, rest)?),
            (Some((Scheme::V4, rest)), None) => Self::V4(V4Request::of_header(head, &named, rest)?),
            (None, Some(Scheme::V2)) => Self::V2(V2Request::of_query(head, query)?),
            (None, Some(Scheme::V4)) => Self::V4(V4Request::of_query(head, &named, query)?),
            _ => {
                let message = "Only one auth mechanism allowed: either the Authorization header \
                               or the parameters of a presigned URL.";
                return Err(RequestError::new(S3ErrorCode::InvalidArgument, message));
            }
        };
        Ok(Some(signed))
    }

    /// Returns the session token of the request, if it has one. Only version 4 has.
    #[must_use]
    pub fn session_token(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::V2(_) => None,
            Self::V4(request) => request.session_token(),
        }
    }

    /// Returns the access key that the request names.
    #[must_use]
    pub fn access_key(&self) -> &str {
        match self {
            Self::V2(request) => request.access_key(),
            Self::V4(request) => request.access_key(),
        }
    }

    /// Copies the parsed parts, so that the request can be moved into a future without being
    /// parsed again there.
    #[must_use]
    pub fn detach(self) -> Detached {
        Detached(match self {
            Self::V2(request) => Parsed::V2(request.detach()),
            Self::V4(request) => Parsed::V4(request.detach()),
        })
    }
}

/// The parsed parts of a signed request, without its head.
///
/// `Debug` shows nothing: everybody who has a signature can use it.
pub struct Detached(Parsed);

enum Parsed {
    V2(v2::Parsed<'static>),
    V4(v4::Parsed<'static>),
}

impl Detached {
    /// Combines the parsed parts with the head that they were parsed from.
    #[must_use]
    pub fn attach(self, head: RequestHead<'_>) -> SignedRequest<'_> {
        match self.0 {
            Parsed::V2(parsed) => SignedRequest::V2(V2Request::attach(head, parsed)),
            Parsed::V4(parsed) => SignedRequest::V4(V4Request::attach(head, parsed)),
        }
    }
}

opaque_debug!(Detached);

/// Checks where the request has its session token: in its header, or in the query if it is
/// presigned; once, with a value, and signed with version 4.
#[inline]
fn check_session_token(
    (header, presigned): (Option<(Scheme, &str)>, Option<Scheme>),
    named: &Named<'_>,
    query: Query<'_>,
) -> Result<(), RequestError> {
    let invalid = |_| RequestError::session_token();
    let (in_header, in_query) = (named.session_token, query.session_token().map_err(invalid)?);
    let scheme = match (in_header, in_query) {
        (One::None, None) => return Ok(()),
        (One::Once(_), None) => {
            let text = in_header.text().map_err(invalid)?;
            text.filter(|text| !text.is_empty()).and(header).map(|(scheme, _)| scheme)
        }
        (One::None, Some(text)) => presigned.filter(|_| header.is_none() && !text.is_empty()),
        _ => None,
    };
    if scheme == Some(Scheme::V4) { Ok(()) } else { Err(RequestError::session_token()) }
}
