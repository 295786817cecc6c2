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
//! - **The key**: it exists, is active, and is not bound to a delegation.
//! - **Its owner**, with a [directory](S3AuthLayerBuilder::directory): the user and the
//!   project exist and are enabled, and the user has a place in the project now. A root key
//!   needs its project only. A key without a project needs its user only, and carries no
//!   project. A key with a delegation, where such keys are
//!   [accepted](S3AuthLayerBuilder::accept_delegated), needs the delegation to stand in
//!   place of a membership. A key that fails here, or above, is answered as if it did not
//!   exist.
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
//! # How soon a revocation takes effect
//!
//! A change of the key takes effect at once where each request asks the store
//! ([`Direct`](crate::backend::Direct)), and for writes that go through the same `Cached`
//! (feature `cache`). Writes of other processes take effect within the time to live of
//! the cache. Derived keys are remembered by the version of their record, so none
//! outlives a change of it.
//!
//! A change of the directory (a user is disabled, or is taken out of a project) takes effect
//! on the next request if the directory reports a
//! [revision](crate::directory::Directory::revision). Otherwise it takes effect within the
//! directory's own stated age plus one second: with `KeystoneDirectory` and its default of 60
//! seconds, within 61. While the directory cannot be asked, its last answer about a key
//! counts for another [60 seconds](S3AuthLayerBuilder::directory_grace) if it was positive;
//! then requests are answered with 503.
//!
//! # The directory
//!
//! Give one directory to both layers. A directory that only `CredentialLayer` knows has no
//! effect here: keys go on opening the store after their owners have left.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tower_credentials::{
//!     CredentialLayer,
//!     auth::StaticTokens,
//!     backend::{Direct, memory::MemoryBackend},
//!     directory::{Project, StaticDirectory, User},
//!     domain::{ProjectId, UserId},
//!     s3::S3AuthLayer,
//! };
//!
//! let (alice, demo) = (UserId::new("alice")?, ProjectId::new("demo")?);
//! let directory = Arc::new(
//!     StaticDirectory::new()
//!         .with_user(User::new(alice.clone(), "Alice"))
//!         .with_project(Project::new(demo.clone(), "Demo"))
//!         .with_member(alice, demo, ["member"]),
//! );
//! let keys = MemoryBackend::default();
//!
//! let credentials = CredentialLayer::builder(StaticTokens::new(), keys.clone())
//!     .directory(Arc::clone(&directory))
//!     .build()?;
//! let s3 = S3AuthLayer::builder(Direct(keys)).directory(directory).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
