use std::fmt;

use async_trait::async_trait;

use super::credential_backend::CredentialBackend;
use super::error::BackendError;
use crate::domain::CredentialId;

/// The id of the record that says which keys a sealed store uses. It sorts before the ids
/// of all other records.
pub(super) const SEAL_RECORD: &str = "!tower-sealed-keys";

/// Repairs a store and measures it, for the tools of operators.
///
/// Every store of this crate implements it, without sealing: a record can be discarded
/// without the key that it is sealed with.
#[async_trait]
pub trait Maintenance: fmt::Debug + Send + Sync + 'static {
    /// Deletes the record with this id at any version, even if the record cannot be read.
    /// Returns `false` if the record does not exist.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn discard(&self, id: &CredentialId) -> Result<bool, BackendError>;

    /// Compares the indexes with the records, and changes nothing. Returns a line for each
    /// difference, at most [`MAX_DIFFERENCES`]. A store that a server checks returns none.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn check_indexes(&self) -> Result<Vec<String>, BackendError>;

    /// Corrects the indexes where a process of an earlier release has written to a store of the
    /// current layout. Others may write meanwhile.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn repair_indexes(&self) -> Result<(), BackendError>;

    /// Compares the counters that quotas use with the records, and changes nothing; returns
    /// `None` if the store has no counters.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn check_counters(&self) -> Result<Option<Recount>, BackendError>;

    /// Compares the counters that quotas use with the records, and corrects them; returns
    /// `None` if the store has no counters. Others may write meanwhile.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn recount(&self) -> Result<Option<Recount>, BackendError>;

    /// Returns how many bytes the store takes on disk; `None` if that is not known.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn disk_bytes(&self) -> Result<Option<u64>, BackendError>;
}

/// The maximum number of differences that [`Maintenance::check_indexes`] returns.
pub const MAX_DIFFERENCES: usize = 100;

/// The result of comparing the counters of quotas with the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recount {
    /// The number of users who have a record or a counter.
    pub users: u64,
    /// The number of users whose counter differed from the number of their records.
    pub wrong: u64,
}

/// Returns whether the secrets in a store are sealed, that is, whether the store must be
/// opened through `Encrypted` (feature `encryption`).
///
/// # Errors
///
/// Those of [`CredentialBackend::get_latest`].
pub async fn is_sealed<B: CredentialBackend + ?Sized>(backend: &B) -> Result<bool, BackendError> {
    let record = backend.get_latest(&CredentialId::from_stored(SEAL_RECORD)).await?;
    Ok(record.is_some())
}

forward_pointers!(Maintenance {
    async fn discard(&self, id: &CredentialId) -> Result<bool, BackendError>;
    async fn check_indexes(&self) -> Result<Vec<String>, BackendError>;
    async fn repair_indexes(&self) -> Result<(), BackendError>;
    async fn check_counters(&self) -> Result<Option<Recount>, BackendError>;
    async fn recount(&self) -> Result<Option<Recount>, BackendError>;
    async fn disk_bytes(&self) -> Result<Option<u64>, BackendError>;
});
