//! The data plane: requests to an object store, verified before it sees them.
//!
//! [`S3AuthLayer`] wraps any tower service. A request that was signed with a key that
//! may sign reaches the service with a [`VerifiedKey`] among its extensions, which says
//! who signed it. Every other one is answered here, in S3's XML and with S3's own codes.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_credentials::{
//!     backend::{Direct, memory::MemoryBackend},
//!     s3::{S3AuthLayer, VerifiedBody, VerifiedKey},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = service_fn(|request: Request<VerifiedBody<Full<Bytes>>>| async move {
//!     let key: &VerifiedKey = request.extensions().get().expect("the layer put it there");
//!     let hello = format!("hello, {}", key.user_id());
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(hello)))
//! });
//! // With the feature `cache`, `Cached` in place of `Direct` makes look-ups cheap.
//! let service = S3AuthLayer::new(Direct(MemoryBackend::default())).layer(store);
//!
//! let request = Request::get("/bucket/object").header("host", "localhost");
//! let response = service.oneshot(request.body(Full::default())?).await?;
//! assert_eq!(response.status(), StatusCode::FORBIDDEN);
//! # Ok(())
//! # }
//! ```
//!
//! # What is verified
//!
//! - **The head**, by AWS Signature Version 4 in the `Authorization` header or in the
//!   query, and by version 2 where it is [admitted](S3AuthLayerBuilder::signature_v2):
//!   see [`signature::request`](crate::signature::request) for what that covers.
//! - **The time**: 15 minutes either way, or until a presigned request expires, which is
//!   after seven days at the latest.
//! - **The key**: it is there, active, and not bound to a delegation; with a
//!   [directory](S3AuthLayerBuilder::directory), its user and project are enabled. All
//!   else is answered as if there were no such key.
//! - **The body**, while the service reads it: the declared SHA-256; signed chunks of
//!   `aws-chunked` one by one, with their trailers; the checksum in a trailer. Nothing is
//!   buffered. A body that is not what was declared ends in an error before its end
//!   is delivered, and whatever the service answers then, the client is told why. So a
//!   service **must not take what it has read for whole before the body has ended**.
//! - **Forms** that upload a file (`POST` of `multipart/form-data` to a bucket), by the
//!   policy among their fields. The service finds a [`PostForm`] among the extensions,
//!   and the file alone as the body.
//!
//! The layer takes chunks apart: the service sees the payload, its length, and no
//! `aws-chunked` in `Content-Encoding`.
//!
//! # How soon a revocation is felt
//!
//! At once where each request asks the store ([`Direct`](crate::backend::Direct)), and
//! for what is written through the same `Cached` (feature `cache`); for writes
//! of other processes within its time to live. Derived keys are remembered by the
//! version of their record, so that none outlives a change of it.
//!
//! # What it does not do
//!
//! - **Authorize.** It says who signed, not what they may touch.
//! - **Remember signatures.** A request may be sent again for as long as it is fresh, as
//!   in S3: whoever can read it can repeat it. Put TLS in front.
//! - **Accept session tokens**: no key here has one.
//!
//! # Stores on the crate `s3s`
//!
//! With the feature `s3s`, `S3sAuth` gives the same keys to an `s3s` service, and
//! `S3sGuardLayer` goes in front of that service: it applies this module's rules for versions,
//! times, regions, session tokens and forms, which `s3s` does not check. Both are needed. The
//! key, its owner and the signature are verified by `s3s` with `S3sAuth`, as is the body; the
//! request has no [`VerifiedKey`], and the recorded last use of a key does not change.
//!
//! # Where it goes
//!
//! It must see the path, the query and the `Host` that the client sent: in front of
//! routers that strip prefixes, and behind proxies that leave `Host` alone.
//! [`CredentialLayer`](crate::CredentialLayer) goes around it, so that credential
//! requests, which carry tokens, are answered before:
//!
//! ```text
//! ServiceBuilder::new().layer(credentials).layer(s3).service(store)
//! ```

mod admission;
mod body;
pub(crate) mod form;
mod future;
mod key;
mod layer;
mod payload_error;
mod refusal;
mod rules;
#[cfg(feature = "s3s")]
mod s3s_auth;
#[cfg(feature = "s3s")]
mod s3s_guard;
mod service;
mod signature_rules;
mod signing_keys;
mod upload;
mod verifier;

#[cfg(feature = "s3s")]
#[cfg_attr(docsrs, doc(cfg(feature = "s3s")))]
pub use self::s3s_auth::S3sAuth;
#[cfg(feature = "s3s")]
#[cfg_attr(docsrs, doc(cfg(feature = "s3s")))]
pub use self::s3s_guard::{S3sGuardLayer, S3sGuardLayerBuilder, S3sGuardService};
pub use self::{
    body::VerifiedBody,
    future::ResponseFuture,
    key::{Mechanism, VerifiedKey},
    layer::{Anonymous, S3AuthLayer, S3AuthLayerBuilder, S3ConfigError},
    payload_error::{PayloadError, PayloadErrorKind},
    service::S3AuthService,
};
pub use crate::signature::form::PostForm;
