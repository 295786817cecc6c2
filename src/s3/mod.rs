//! The data plane: verifies requests before they reach an object store.
//!
//! [`S3AuthLayer`] wraps any tower service. A request that was signed with a valid key reaches
//! the service with a [`VerifiedKey`] among its extensions, which names the key and its owner.
//! The layer refuses every other request with S3's XML and S3's error codes.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_credentials::{
//!     backend::{Uncached, memory::MemoryBackend},
//!     s3::{S3AuthLayer, VerifiedBody, VerifiedKey},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = service_fn(|request: Request<VerifiedBody<Full<Bytes>>>| async move {
//!     let key: &VerifiedKey = request.extensions().get().expect("inserted by the layer");
//!     let hello = format!("hello, {}", key.user_id());
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(hello)))
//! });
//! // With the feature `cache`, use `Cached` instead of `Uncached` for cheap lookups.
//! let service = S3AuthLayer::new(Uncached(MemoryBackend::default())).layer(store);
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
//! - **The head**: AWS Signature Version 4, in the `Authorization` header or in the query, and
//!   version 2 if it is [accepted](S3AuthLayerBuilder::signature_v2). See
//!   [`signature::request`](crate::signature::request) for what these cover.
//! - **The time**: the signing time is within [15 minutes](S3AuthLayerBuilder::max_skew).
//!   A presigned request is valid until it expires, at most for seven days.
//! - **The key**: it exists, is active, has not expired, and is not bound to a delegation.
//! - **The session**, if the request has a session token: see [sessions](#sessions).
//! - **The boundary of the key**: a request outside of it is refused with `AccessDenied`, and so
//!   is a request that two stores could read differently. See [boundaries](#boundaries).
//! - **The owner of the key**, with a [directory](S3AuthLayerBuilder::directory): the user and
//!   the project exist and are enabled, and the user has a place in the project now. A root key
//!   needs its project only. A key without a project needs its user only, and has access to no
//!   project. A key with a delegation, where such keys are
//!   [accepted](S3AuthLayerBuilder::accept_delegated), needs the delegation instead of a
//!   membership. A key that fails one of these checks is treated as if it did not exist.
//! - **The body**, while the service reads it: the declared SHA-256; the signed chunks of
//!   `aws-chunked` one by one, with their trailers; the checksum in a trailer. Nothing is
//!   buffered. An invalid body ends in an error before its end is delivered. The client then
//!   receives the reason, whatever the service responds. So **do not act on a body until you
//!   have read it to the end**.
//! - **Forms** that upload a file (`POST` of `multipart/form-data` to a bucket): the policy
//!   among their fields. The service finds a [`PostForm`] among the extensions, and the body is
//!   the file.
//!
//! The layer decodes chunks: the service sees the payload, its length, and no `aws-chunked` in
//! `Content-Encoding`.
//!
//! # How soon a revocation takes effect
//!
//! A change of the key takes effect on the next request if every request asks the store
//! ([`Uncached`](crate::backend::Uncached)), and for writes that go through the same `Cached`
//! (feature `cache`). Writes of other processes take effect within a second if the cache
//! [follows](crate::backend::cached::Cached::follow) the store, otherwise within its `ttl`. Signing
//! keys are cached by the version of their record: a change of the record invalidates them.
//!
//! A change of the directory (a user is disabled, or is removed from a project) takes effect
//! on the next request if the directory reports a
//! [revision](crate::directory::Directory::revision). Otherwise it takes effect within the
//! directory's own stated age plus one second: with `KeystoneDirectory` and its default of 60
//! seconds, within 61. During an outage of the directory, a positive last answer about a key
//! counts for another [60 seconds](S3AuthLayerBuilder::directory_grace). After that, requests
//! are refused with 503.
//!
//! # The directory
//!
//! Give the same directory to both layers. A directory that only `CredentialLayer` has does not
//! affect this layer: keys remain valid after their owners have left.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tower_credentials::{
//!     CredentialLayer,
//!     auth::StaticTokens,
//!     backend::{Uncached, memory::MemoryBackend},
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
//! let s3 = S3AuthLayer::builder(Uncached(keys)).directory(directory).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Boundaries
//!
//! A key may have a [boundary](crate::boundary): the most that it may do. The layer reads what a
//! request does from its head by the [rules](S3AuthLayerBuilder::operations) of the store, and
//! inserts the [`S3Operation`](crate::operation::S3Operation) beside the [`VerifiedKey`]. Use its
//! bucket and key, or a store that reads requests alike. Requests of keys without a boundary are
//! not read, and have no `S3Operation`.
//!
//! The keys of `DeleteObjects` are in its body. If the boundary allows all keys of the bucket, the
//! body passes unread. Otherwise the layer reads the body, at most 2 MiB, and refuses the request
//! if one key is outside the boundary. Signatures of version 2 cover too little of a request:
//! keys with a boundary cannot use them.
//!
//! # Sessions
//!
//! A request with a session token (`x-amz-security-token`) is signed with a temporary credential
//! that was derived from a key, its parent. See [`session`](crate::session) for the format and
//! the rules. The layer looks up the parent, and checks it and its owner as if the parent had
//! signed. Then the session may do what its own policies and its parent's boundary allow. The
//! [`VerifiedKey`] names the parent's owner, and the [session](VerifiedKey::session).
//!
//! A session whose parent is unknown, disabled or expired is refused with `InvalidAccessKeyId`, one
//! that has ended with `ExpiredToken`, any other token that is not valid with `InvalidToken`.
//! A revocation of the parent takes effect on its sessions as soon as on itself. Signatures of
//! version 2 cannot have a session token.
//!
//! # What it does not do
//!
//! - **Authorize.** It reports who signed a request, and refuses what is outside the key's
//!   boundary. It does not decide what the owner may access.
//! - **Detect replays.** As in S3, everybody who can read a request can repeat it while it is
//!   fresh. Use TLS.
//!
//! # Stores on the crate `s3s`
//!
//! With the feature `s3s`, `S3sAuth` gives the same keys to an `s3s` service, and
//! `S3sGuardLayer` goes in front of that service: it applies this module's rules for versions,
//! times, regions, session tokens and forms, which `s3s` does not check. Both are needed. The
//! key, its owner and the signature are verified by `s3s` with `S3sAuth`, as is the body; the
//! request has no [`VerifiedKey`], and the recorded last use of a key does not change. `S3sAccess`
//! enforces the boundaries of keys; without it `S3sAuth` refuses keys with a boundary.
//!
//! # Where it goes
//!
//! The layer must see the path, the query and the `Host` that the client sent: put it in front
//! of routers that strip prefixes, and behind proxies that do not change `Host`. Put
//! [`CredentialLayer`](crate::CredentialLayer) around it: credential requests carry tokens and
//! no signature.
//!
//! ```text
//! ServiceBuilder::new().layer(credentials).layer(s3).service(store)
//! ```

mod admission;
mod body;
mod buffers;
mod chunk_headers;
mod counting;
mod deletion;
mod enforcement;
pub(crate) mod form;
mod future;
mod guesses;
mod key;
mod layer;
mod payload_error;
mod refusal;
mod rules;
#[cfg(feature = "s3s")]
mod s3s_access;
#[cfg(feature = "s3s")]
mod s3s_auth;
#[cfg(feature = "s3s")]
mod s3s_guard;
#[cfg(feature = "s3s")]
mod s3s_session;
mod service;
mod sessions;
mod signing_keys;
mod upload;
#[cfg(feature = "s3s")]
mod verification;
mod verifier;

#[cfg(feature = "s3s")]
#[cfg_attr(docsrs, doc(cfg(feature = "s3s")))]
pub use self::s3s_access::S3sAccess;
#[cfg(feature = "s3s")]
#[cfg_attr(docsrs, doc(cfg(feature = "s3s")))]
pub use self::s3s_auth::S3sAuth;
#[cfg(feature = "s3s")]
#[cfg_attr(docsrs, doc(cfg(feature = "s3s")))]
pub use self::s3s_guard::{S3sGuardLayer, S3sGuardLayerBuilder, S3sGuardService};
#[cfg(feature = "s3s")]
#[cfg_attr(docsrs, doc(cfg(feature = "s3s")))]
pub use self::s3s_session::{WithSession, WithSessionFuture};
pub use self::{
    body::VerifiedBody,
    future::ResponseFuture,
    key::{Mechanism, VerifiedKey},
    layer::{S3AuthLayer, S3AuthLayerBuilder},
    payload_error::{PayloadError, PayloadErrorKind},
    rules::{Anonymous, S3ConfigError},
    service::S3AuthService,
};
/// What an S3 request does.
pub use crate::{
    operation,
    origin::{ClientAddress, ClientTls},
    signature::form::PostForm,
};
