//! Many records at once, as they are.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::error::BackendError;
use crate::domain::Credential;

/// How many records one load takes at the most.
pub const MAX_LOAD: usize = 10_000;

/// Takes records that come from elsewhere: from another store, or an export.
///
/// # Contract
///
/// * **Records are stored as they are**, id, version and times included, like those that
///   [`CredentialBackend`](super::CredentialBackend) writes. Quotas are not asked, but
///   what is loaded counts in them.
/// * **Each record is stored whole or not at all**, and what was answered is durable. One
///   that is refused stops no other: not one that the store cannot hold, nor one in whose
///   place something lies that cannot be read.
/// * **Loading again does nothing.** A load that failed may have happened in part; it is
///   made again as a whole.
/// * **What is there stays.** No record in the store is changed by a load, whatever races
///   with it.
///
/// With the feature `conformance`, each clause is a test to run against your own
/// implementation: see `conformance::bulk`.
#[async_trait]
pub trait BulkLoad: fmt::Debug + Send + Sync + 'static {
    /// Stores at most [`MAX_LOAD`] records; returns what became of each, in their order.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError>;
}

/// What became of a record that was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loaded {
    /// It is in the store now.
    Stored,
    /// It was there before, the same in every field.
    AlreadyThere,
    /// Another record holds its id, access key or slot, or another version of it is there,
    /// or what is there cannot be read; or the store cannot hold it, since it or a name in
    /// it is too long.
    Refused,
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: BulkLoad + ?Sized> BulkLoad for $pointer<T> {
            async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
                (**self).load(records).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
