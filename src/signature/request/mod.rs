//! S3 requests as they come over HTTP: who says to have signed them, and what was
//! signed.
//!
//! Source: Amazon S3 API Reference, "Authenticating requests (AWS Signature Version
//! 4)" and "Signing and authenticating REST requests" (version 2).
//!
//! Each version goes the same way: parse, canonicalise, make the string to sign,
//! compare. Canonical is what S3 takes for it, and nothing looser:
//!
//! - **Paths** are not normalised (`/a/../b` names an object) and encoded once. Each
//!   byte has one spelling: letters, digits and `-._~` as they are, all else as `%XX`
//!   in upper case. An encoded slash stays encoded, so that it is another path than a
//!   plain one; a `%` without two hex digits is refused.
//! - **Queries** are sorted by name; `+` is a space. A parameter that is there twice is
//!   refused: sorting would let somebody else change which of the two counts.
//! - **Headers** lose the spaces around them and all but one within. A signed one that is
//!   there twice is refused: it would be signed like one with a comma. `host` must be
//!   signed, and so must every `x-amz-*` header that is there. Under HTTP/2 `:authority`
//!   is the host.
//! - **One mechanism.** What is signed in the header and in the query is refused, as is
//!   a parameter of a signature whose name has another spelling or case.
//! - **Session tokens** are refused: no key here has one.
//!
//! # Version 2
//!
//! It signs less: no query but the parameters that name a subresource, no `Host`, no
//! body, and of the headers only `x-amz-*`, `Content-MD5`, `Content-Type` and `Date`. What
//! it does not sign may be there twice, too. That cannot be mended here; whoever can
//! should admit version 4 alone.

mod error;
mod head;
mod headers;
mod path;
mod payload;
mod query;
mod v2;
mod v4;

use self::query::Query;
pub use self::{
    error::{RequestError, S3ErrorCode},
    head::RequestHead,
    payload::{Payload, Streaming},
    v2::V2Request,
    v4::V4Request,
};
use super::v4::ALGORITHM;

/// A signed S3 request, of either version.
///
/// `Debug` tells the access key alone: a signature works for whoever has it.
#[derive(Clone, Debug)]
pub enum SignedRequest<'a> {
    /// AWS Signature Version 2.
    V2(V2Request<'a>),
    /// AWS Signature Version 4.
    V4(V4Request<'a>),
}

impl<'a> SignedRequest<'a> {
    /// Parses what a request says of its signature; `None` if it is not signed.
    ///
    /// An `Authorization` header of a scheme that is not Amazon's is no signature.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if it is signed in a way that can never verify.
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
        if named.has_session_token || query.has_session_token() {
            return Err(RequestError::session_token());
        }
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

    /// The access key that is said to have signed.
    #[must_use]
    pub fn access_key(&self) -> &str {
        match self {
            Self::V2(request) => request.access_key(),
            Self::V4(request) => request.access_key(),
        }
    }
}

/// The ways to sign a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    V2,
    V4,
}

impl Scheme {
    /// The scheme of an `Authorization` header, and what follows its name. `None` for
    /// what is not Amazon's.
    fn of_header(text: &str) -> Result<Option<(Self, &str)>, RequestError> {
        // What nearly all requests have, first.
        if let Some(rest) = text.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' ')) {
            return Ok(Some((Self::V4, rest)));
        }
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        match name {
            ALGORITHM => Ok(Some((Self::V4, rest))),
            "AWS" => Ok(Some((Self::V2, rest))),
            // Another spelling of Amazon's, or another algorithm of theirs.
            _ if name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("AWS")) => {
                Err(RequestError::unsupported())
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod suite;
