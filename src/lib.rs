//! Hands out, lists, disables and revokes S3 access keys, as a tower layer.
//!
//! Object stores that speak S3 need a service that manages access keys. This crate is
//! that service as middleware. [`CredentialLayer`] wraps any tower-compatible app. It
//! responds on the credential paths of HTTP APIs that S3 operators already have tools
//! for, and passes every other request through untouched. The keys are stored in a
//! [`CredentialBackend`], where the wrapped store looks up its signing secrets: a new key
//! works at once, and stops working at once when it is disabled or deleted.
//!
//! # Example
//!
//! The layer needs a [`TokenValidator`], which authenticates the caller, and a backend.
//! The crate ships implementations of both.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_credentials::{
//!     CredentialLayer,
//!     auth::StaticTokens,
//!     backend::memory::MemoryBackend,
//!     domain::{Caller, ProjectId, Scope, UserId},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let alice = Caller::new(UserId::new("alice")?, Scope::Project(ProjectId::new("demo")?))
//!     .with_roles(["key_management_user", "key_listing_user"]);
//! let tokens = StaticTokens::new().with_token("open-sesame", "alice", alice);
//!
//! let app = service_fn(|_: Request<Full<Bytes>>| async {
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("your app")))
//! });
//! let service = CredentialLayer::new(tokens, MemoryBackend::default()).layer(app);
//!
//! // Requests outside the credential APIs reach the app untouched.
//! let request = Request::get("/hello").body(Full::default())?;
//! let response = service.clone().oneshot(request).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//!
//! // The layer responds to credential requests, the app never sees them.
//! let request = Request::post("/credentials")
//!     .header("X-Auth-Token", "open-sesame")
//!     .body(Full::from(r#"{"credential": {"type": "ec2"}}"#))?;
//! let response = service.clone().oneshot(request).await?;
//! assert_eq!(response.status(), StatusCode::CREATED);
//!
//! // Callers without a valid token are rejected.
//! let request = Request::post("/credentials").body(Full::default())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```
//!
//! # The parts
//!
//! | part | trait | ships | default |
//! |---|---|---|---|
//! | who is calling? | [`TokenValidator`] | [`StaticTokens`](auth::StaticTokens), [`KeystoneValidator`] | none |
//! | where are keys stored? | [`CredentialBackend`] | [`MemoryBackend`], [`SqliteBackend`], [`PostgresBackend`], [`EtcdBackend`]; sealed by [`Encrypted`] | none |
//! | which users and projects exist? | [`Directory`](directory::Directory) | [`StaticDirectory`](directory::StaticDirectory), [`OpenDirectory`](directory::OpenDirectory), [`KeystoneDirectory`] | open |
//! | who issues tokens? | [`TokenIssuer`](issuer::TokenIssuer) | | none |
//! | who may do what? | [`Policy`](policy::Policy) | [`RolePolicy`](policy::RolePolicy) | roles by name |
//! | when was a key used? | [`UsageLog`](usage::UsageLog) | [`MemoryBackend`], [`SqliteBackend`], [`PostgresBackend`] | none |
//! | what did other processes change? | [`ChangeFeed`](backend::contract::ChangeFeed) | every backend | none |
//! | how many keys? | | [`Quota`](domain::Quota) per user | unlimited |
//! | who guesses? | | [`Guessers`](guessers::Guessers) | nobody is slowed down |
//! | what time is it? | [`Clock`](clock::Clock) | [`SystemClock`](clock::SystemClock) | the system's |
//!
//! [`backend::open`] opens any store of the table by its URL. [`tls`] sets the certificates for
//! connections to PostgreSQL, etcd and Keystone. [`secret_files`] reads files with passwords,
//! tokens and keys, and rejects those that other users can access.
//!
//! [`Dialect`] lists the wire formats and their paths. Two operations need more than a
//! backend: `s3tokens` needs a directory, `ec2tokens` also needs an issuer. Without them
//! these requests go to the app.
//!
//! # Making the store accept the keys
//!
//! With the feature `s3`, `S3AuthLayer` verifies S3 requests before the store sees them,
//! and passes on who signed: see the module `s3`. The store behind it can be any tower
//! service; `examples/object-gateway` is a small one. Stores that are built on the crate
//! `s3s` use `S3sAuth`, as `examples/accesser` does. Give them the
//! [directory](CredentialLayerBuilder::directory) too: a key then stops working when its
//! owner leaves the project.
//!
//! The module `operation` (feature `s3`) reads what an S3 request does, for stores that authorize
//! requests themselves. The module `boundary` decides whether a policy document allows it.
//!
//! # What passes through
//!
//! - Requests on other paths.
//! - Requests for other [hosts](CredentialLayerBuilder::hosts), if any are set.
//! - **S3 requests, also on a shared path**: a bucket may be called `credentials`, so a
//!   request with an AWS signature and without an `X-Auth-Token` always goes to the app.
//!   S3 requests without a signature in head or query (form uploads, anonymous reads,
//!   CORS preflights) do not reach a bucket of that name. Give the layer another
//!   [prefix](CredentialLayerBuilder::prefix) or host where that matters.
//!
//! A request that passes through costs no allocation, and its future is as large as the
//! app's own.
//!
//! # Browsers
//!
//! A browser sends the Basic credentials that it remembers for a host with the requests
//! of any page. On its own paths, and only there, the layer therefore checks, in this
//! order:
//!
//! 1. **The origin.** `POST`, `PUT`, `PATCH` and `DELETE` return 403 if `Sec-Fetch-Site`
//!    is `cross-site`, or if `Origin` is not the request's own host. Both accept the
//!    origins that are [trusted](CredentialLayerBuilder::trusted_origins). Clients that
//!    are not browsers send neither header.
//! 2. The path and the method (400, 405), then the token or the credentials (401).
//! 3. **The content type of Basic callers.** Every `POST`, `PUT` and `PATCH` must name a
//!    JSON content type, in v2.0 JSON or XML, even without a body: no HTML form can send
//!    one. Otherwise IBM's dialect and v2.0 return 415, v3 and OS-EC2 return 400. Callers
//!    with a token may leave it out where the dialect allows it.
//!
//! No body is read before these checks. Behind a proxy that replaces `Host`, set
//! [`base_url`](CredentialLayerBuilder::base_url).
//!
//! # Under axum
//!
//! [`Router::layer`] must see the whole path: add the layer to the outermost
//! router, or wrap the router in it and use [`Router::nest_service`], in which
//! case prefixes are relative to the nest and links need
//! [`base_url`](CredentialLayerBuilder::base_url). `Router::route_layer` runs for
//! matched routes only, so it never sees a credential path.
//!
//! # Runtime
//!
//! The layer's own responses need a tokio runtime with time enabled: the layer reads
//! bodies with a timeout, and hashes passwords on a blocking thread.
//!
//! # In a server
//!
//! A server inserts what it knows into the extensions of each request: [`ClientAddress`],
//! [`ClientTls`] and [`RequestId`]. [`TrustedProxies`] finds the address of a client behind proxies.
//! The extensions of the layer's responses contain a [`Route`], for logs and metrics.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `memory` | yes | [`MemoryBackend`], no dependency |
//! | `cache` | | [`Cached`]: lookups by access key from memory |
//! | `encryption` | | [`Encrypted`]: secrets sealed at rest |
//! | `etcd` | | [`EtcdBackend`], with an HTTP client and TLS |
//! | `keystone` | | [`KeystoneValidator`] and [`KeystoneDirectory`], with an HTTP client and TLS |
//! | `postgres` | | [`PostgresBackend`], with a driver and TLS |
//! | `s3` | | [`s3`], the data plane: [`S3AuthLayer`](s3::S3AuthLayer) and its parts |
//! | `metrics` | | [`metrics`], counters, histograms and gauges for the recorder of the app |
//! | `s3s` | | `S3sAuth` and `S3sGuardLayer`, the same keys and rules for stores on the crate `s3s` |
//! | `sqlite` | | [`SqliteBackend`], with SQLite compiled in |
//! | `full` | | all of the above |
//! | `conformance` | | [`conformance`], the test suite for authors of backends |
//!
//! Features add API and never change behavior.
//!
//! # Security
//!
//! Secrets are redacted in `Debug`, wiped when dropped, compared in constant time and
//! never logged. They are stored in plain text, because verifying a signature needs the
//! secret, unless [`Encrypted`] seals them. The layer authenticates callers before it
//! reads a body, and bounds bodies in size and time. A key that a caller may not see looks
//! like one that does not exist. Every response of the layer has
//! `Cache-Control: no-store`. Put TLS in front: without it, tokens and new secrets cross
//! the network in plain text.
//!
//! The layer logs one line for each change of a credential and for each session that it
//! issues, at `info`, with target `tower_credentials::audit`. Log lines quote ids and access keys, which clients choose,
//! and escape control and bidirectional characters.
//!
//! [`Cached`]: backend::cached::Cached
//! [`CredentialBackend`]: backend::CredentialBackend
//! [`Encrypted`]: backend::encrypted::Encrypted
//! [`EtcdBackend`]: backend::etcd::EtcdBackend
//! [`KeystoneDirectory`]: keystone::KeystoneDirectory
//! [`KeystoneValidator`]: keystone::KeystoneValidator
//! [`MemoryBackend`]: backend::memory::MemoryBackend
//! [`PostgresBackend`]: backend::postgres::PostgresBackend
//! [`Router::layer`]: https://docs.rs/axum/latest/axum/struct.Router.html#method.layer
//! [`Router::nest_service`]: https://docs.rs/axum/latest/axum/struct.Router.html#method.nest_service
//! [`SqliteBackend`]: backend::sqlite::SqliteBackend
//! [`TokenValidator`]: auth::TokenValidator

#![forbid(unsafe_code)]
#![warn(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    missing_debug_implementations,
    missing_docs,
    unnameable_types
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod macros;

pub mod audit;
pub mod auth;
mod authority;
pub mod aws;
pub mod backend;
mod body;
pub mod boundary;
mod builder;
pub mod clock;
mod config;
#[cfg(feature = "conformance")]
#[cfg_attr(docsrs, doc(cfg(feature = "conformance")))]
pub mod conformance;
mod counters;
mod dialect;
pub mod directory;
pub mod domain;
mod error;
#[cfg(any(feature = "cache", feature = "keystone"))]
mod flight;
mod future;
#[cfg(all(fuzzing, feature = "s3"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod guessers;
pub mod issuer;
#[cfg(feature = "keystone")]
#[cfg_attr(docsrs, doc(cfg(feature = "keystone")))]
pub mod keystone;
mod layer;
mod log;
mod meter;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub mod metrics;
mod network;
pub mod operation;
mod origin;
pub mod policy;
mod read;
mod route;
#[cfg(feature = "s3")]
#[cfg_attr(docsrs, doc(cfg(feature = "s3")))]
pub mod s3;
#[cfg(any(
    feature = "audit",
    feature = "encryption",
    feature = "etcd",
    feature = "postgres",
    feature = "sqlite"
))]
#[cfg_attr(
    docsrs,
    doc(cfg(any(
        feature = "audit",
        feature = "encryption",
        feature = "etcd",
        feature = "postgres",
        feature = "sqlite"
    )))
)]
pub mod secret_files;
mod service;
pub mod session;
mod shared;
pub mod signature;
#[cfg(any(feature = "etcd", feature = "keystone", feature = "postgres"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "etcd", feature = "keystone", feature = "postgres"))))]
pub mod tls;
pub mod usage;
mod wires;

// The README's examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use async_trait::async_trait;

pub use self::{
    body::ResponseBody,
    builder::CredentialLayerBuilder,
    config::ConfigError,
    dialect::Dialect,
    error::{Error, ErrorKind},
    future::ResponseFuture,
    layer::CredentialLayer,
    origin::{
        ClientAddress, ClientTls, ForwardedHeader, InvalidNetwork, RequestId, TrustedProxies,
    },
    route::Route,
    service::CredentialService,
};
