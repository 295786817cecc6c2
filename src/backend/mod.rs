//! Stores credentials.
//!
//! [`CredentialBackend`] is the trait that the layer uses, and [`open`] opens any store of
//! this crate by its URL. Each store is also a module of its own, with its own builder:
//!
//! * `memory`: a store in the memory of one process, for tests and demonstrations.
//! * `sqlite`: a file, for one service on one machine.
//! * `postgres`: a database server, for services on many machines.
//! * `etcd`: a cluster that a site already has.
//!
//! Two wrappers work with every store: `encrypted` seals secrets at rest, and `cached` looks
//! up access keys in memory.
//!
//! [`contract`] has what only authors of stores and of tools need.

mod bulk;
#[cfg(feature = "cache")]
#[cfg_attr(docsrs, doc(cfg(feature = "cache")))]
pub mod cached;
pub mod contract;
mod credential_backend;
#[cfg(feature = "encryption")]
#[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
pub mod encrypted;
mod error;
#[cfg(feature = "etcd")]
#[cfg_attr(docsrs, doc(cfg(feature = "etcd")))]
pub mod etcd;
mod feed;
#[cfg(any(feature = "memory", feature = "sqlite"))]
mod hub;
mod list;
mod maintenance;
#[cfg(feature = "metrics")]
mod measured;
mod open_error;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod row;
mod skipping;
mod source;
mod store;
mod url;

#[cfg(feature = "memory")]
#[cfg_attr(docsrs, doc(cfg(feature = "memory")))]
pub mod memory;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub mod postgres;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub mod sqlite;

#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use self::measured::Measured;
#[cfg(feature = "s3")]
pub(crate) use self::source::look_up;
#[cfg(any(
    feature = "encryption",
    feature = "etcd",
    feature = "postgres",
    feature = "sqlite"
))]
pub use self::url::resolve_url;
pub use self::{
    credential_backend::CredentialBackend,
    error::BackendError,
    list::{
        ACCESS_KEYS_END, ListQuery, Order, Page, Place, access_key_marker, expires_before,
        id_marker,
    },
    open_error::{OpenError, OpenErrorKind, OpenMode},
    source::{KeySource, Known, Uncached},
    store::{Store, StoreBackend, StoreBuilder, open},
};
pub use crate::log::{redact_arguments, redact_url};
