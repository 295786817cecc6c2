use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::error::BackendError;
use crate::domain::Credential;

/// The maximum number of records in one load.
pub const MAX_LOAD: usize = 10_000;

/// Imports records of another store or of an export, many in one call.
///
/// # Contract
///
/// * **Records are stored unchanged**, with their ids, versions and times, as
///   [`CredentialBackend`](super::CredentialBackend) stores them. Quotas are not checked, but
///   the records count in them.
/// * **Each record is stored completely or not at all.** Records that the call returned are
///   durable. A refused record does not prevent the others from being stored, even if it is
///   too long for the store or conflicts with a record that cannot be read.
/// * **A load can be repeated.** After an error some of the records may be stored; the caller
///   repeats the whole load.
/// * **Stored records do not change.** A load never changes an existing record, whatever
///   runs at the same time.
///
/// With the feature `conformance`, each clause is a test to run against your own
/// implementation: see `conformance::bulk`.
#[async_trait]
pub trait BulkLoad: fmt::Debug + Send + Sync + 'static {
    /// Stores at most [`MAX_LOAD`] records; returns one result for each, in their order.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError>;
}

/// The result of loading one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loaded {
    /// The record was stored.
    Stored,
    /// The same record, equal in every field, was already stored.
    AlreadyThere,
    /// The record was not stored. Another record has its id, access key or slot, or a version
    /// of it that differs or cannot be read. Or the record, or a name in it, is too long for
    /// the store.
    Refused,
}

forward_pointers!(BulkLoad {
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError>;
});
