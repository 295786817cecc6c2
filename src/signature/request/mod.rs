//! Parses signed S3 requests as they arrive over HTTP: which key they name, and what was signed.
//!
//! Use it to verify S3 requests without [`S3AuthLayer`](crate::s3::S3AuthLayer). Start with
//! [`SignedRequest::parse`].
//!
//! Source: Amazon S3 API Reference, "Authenticating requests (AWS Signature Version
//! 4)" and "Signing and authenticating REST requests" (version 2).
//!
//! Both versions take the same steps: parse, canonicalize, build the string to sign,
//! compare. The canonical form is that of S3 and nothing looser:
//!
//! - **Paths** are not normalized (`/a/../b` names an object) and are encoded once. Each
//!   byte has one spelling: letters, digits and `-._~` as they are, everything else as `%XX`
//!   in upper case. An encoded slash stays encoded, so its path differs from one with a
//!   plain slash. A `%` without two hex digits is rejected.
//! - **Queries** are sorted by name, and `+` is a space. A duplicate parameter is rejected:
//!   sorting would let a third party change which of the two counts.
//! - **Headers** are trimmed, and inner runs of spaces become one space. A duplicate signed
//!   header is rejected: it would be signed like one header with a comma. `host` must be
//!   signed, and so must every `x-amz-*` header of the request. Under HTTP/2 `:authority` is
//!   the host.
//! - **One mechanism.** A request that is signed in the header and in the query is rejected, as
//!   is a signature's parameter with a name in another spelling or case.
//! - **Session tokens** are in the header, or in the query of a presigned request: once, signed
//!   with version 4. Verify them with the rules of [`session`](crate::session).
//!
//! # Version 2
//!
//! Version 2 signs less: of the query only the parameters that name a subresource, of the
//! headers only `x-amz-*`, `Content-MD5`, `Content-Type` and `Date`. It signs neither the
//! `Host` nor the body. Unsigned parts may also be duplicates. The layer cannot fix that.
//! Admit version 4 only wherever you can.

mod error;
mod head;
mod headers;
mod path;
mod payload;
mod query;
pub(crate) mod query_api;
mod signed;
mod v2;
mod v4;

pub use self::{
    error::{RequestError, S3ErrorCode},
    head::RequestHead,
    payload::{Payload, Streaming},
    signed::{Detached, SignedRequest},
    v2::V2Request,
    v4::V4Request,
};
pub(crate) use self::{query::SIGNATURE_PARAMETERS, v4::Service};

#[cfg(test)]
mod suite;
