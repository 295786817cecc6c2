//! Hand out, list, disable and revoke S3 access keys, as a tower layer.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod auth;
mod authority;
pub mod backend;
mod body;
pub mod clock;
#[cfg(feature = "conformance")]
#[cfg_attr(docsrs, doc(cfg(feature = "conformance")))]
pub mod conformance;
mod dialect;
pub mod directory;
pub mod domain;
mod error;
mod future;
mod layer;
pub mod policy;
mod read;
mod service;

pub use async_trait::async_trait;

pub use self::{
    body::ResponseBody,
    dialect::Dialect,
    error::{Error, ErrorKind},
    future::ResponseFuture,
    layer::{ConfigError, CredentialLayer, CredentialLayerBuilder},
    service::CredentialService,
};
