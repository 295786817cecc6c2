//! What the crate counts and measures.
//!
//! A layer or a store makes its handles once, when it is built, and holds them. Without the feature
//! `metrics` the handles are empty, and their methods do nothing.

#[cfg(any(feature = "etcd", feature = "postgres", feature = "sqlite"))]
mod batches;
mod endpoint;
#[cfg(feature = "keystone")]
mod keystone;
#[cfg(feature = "metrics")]
pub(crate) mod names;
mod requests;

#[cfg(any(feature = "etcd", feature = "postgres", feature = "sqlite"))]
pub(crate) use self::batches::Batches;
#[cfg(feature = "keystone")]
pub(crate) use self::keystone::KeystoneUp;
pub(crate) use self::{endpoint::Endpoint, requests::Requests};
