//! Looks up records in memory, by access key and by id, over any backend.
//!
//! [`Cached`] wraps a store, so that a verifier does not ask the store for every request.
//! Create it with [`Cached::new`], or with [`Cached::builder`] to change a setting.

mod answered;
mod backend;
mod builder;
mod by_id;
mod error;
mod following;
mod local;
mod lookup;
mod memory;
mod name;
#[cfg(feature = "metrics")]
mod publish;
mod stats;
mod vouched;
mod writes;

pub use self::{backend::Cached, builder::CachedBuilder, stats::CacheStats};
