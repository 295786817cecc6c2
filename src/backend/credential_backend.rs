use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::error::BackendError;
use super::list::{ListQuery, Page};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};

/// Stores credentials on behalf of the layer.
///
/// # Contract
///
/// * **Writes are atomic and durable.** A write that returns `Ok` survives a crash, as far as
///   the store persists anything. A write that returns an error changed nothing, unless the
///   error is [`BackendError::Unavailable`]: then the outcome is unknown. The outcome is also
///   unknown when the future of a write is dropped: the write happens completely or not at
///   all, perhaps a little later.
/// * **Uniqueness.** Ids, access keys, and pairs of user and slot are unique in the whole
///   store. The check and the write are one step: exactly one of any number of racing writers
///   wins.
/// * **Quota.** [`insert`](Self::insert) also counts the user's records and writes in one
///   step. A full quota is reported before a duplicate.
/// * **Compare-and-set.** [`update`](Self::update), [`rotate`](Self::rotate) and
///   [`delete`](Self::delete) act only on the version that they are called with.
/// * **Reads see every write that completed before they started**, and return the record
///   exactly as it was written, times to the microsecond. A backend that answers from memory
///   documents how old the answers of [`get`](Self::get) and
///   [`find_by_access_key`](Self::find_by_access_key) may be, and implements
///   [`get_latest`](Self::get_latest) and
///   [`find_latest_by_access_key`](Self::find_latest_by_access_key) without that memory.
/// * **A record that does not exist is not an error**, but `None` or `false`.
/// * **Order is bytewise**, the same in every store; see [`ListQuery`]. Ids, access keys and
///   owners are compared bytewise too.
/// * **No clock, no randomness, no rules.** Times and versions come in the record. The caller
///   decides who may do what.
/// * A clone or another [`Arc`] is another handle to the same data.
///
/// With the feature `conformance`, each clause is a test to run against your own
/// implementation: see [`conformance`](crate::conformance).
//
// Deliberately no default bodies for writes: a convenient default that reads and then
// writes would compile for every backend and be wrong for most of them.
#[async_trait]
pub trait CredentialBackend: fmt::Debug + Send + Sync + 'static {
    /// Stores a credential that must not exist yet.
    ///
    /// # Errors
    ///
    /// * [`BackendError::QuotaExceeded`] if the user already has as many records as the quota
    ///   permits.
    /// * [`BackendError::AlreadyExists`] if the id, the access key or the user's slot is
    ///   taken, by any user.
    /// * [`BackendError::Unstorable`] if the record or a name in it is too long for the store.
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError>;

    /// Reads a credential by its id.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError>;

    /// Reads a credential by its access key.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError>;

    /// Reads a credential by its id as it is stored now, to decide about a write.
    ///
    /// The default calls [`get`](Self::get), which is right for stores. Backends that answer from
    /// memory, and backends that wrap another one, implement it themselves.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn get_latest(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.get(id).await
    }

    /// Reads a credential by its access key as it is stored now, to decide about a write.
    ///
    /// The default calls [`find_by_access_key`](Self::find_by_access_key); see
    /// [`get_latest`](Self::get_latest).
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn find_latest_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.find_by_access_key(access_key).await
    }

    /// Reads the credential in a user's slot.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError>;

    /// Reads a page of credentials, in order.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError>;

    /// Replaces the record with this credential's id, if its version is `expected`. The new
    /// state carries its own version.
    ///
    /// Everything but the id may change, including the owner. Quotas are not checked. Returns
    /// `false` if the record does not exist or has another version, even if the new state
    /// would also conflict with another record.
    ///
    /// # Errors
    ///
    /// * [`BackendError::AlreadyExists`] if another record has the new access key or slot.
    /// * [`BackendError::Unstorable`] if the record or a name in it is too long for the store.
    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError>;

    /// Stores a credential that must not exist yet, and replaces the record that it is to
    /// succeed, if the version of that record is `expected`: both in one step, or neither.
    ///
    /// `retired` is the new state of the replaced record. Returns `false` if that record does not
    /// exist or has another version, even if the new credential could not be stored.
    ///
    /// # Errors
    ///
    /// * [`BackendError::QuotaExceeded`] if the owner of `credential` already has as many
    ///   records as the quota permits.
    /// * [`BackendError::AlreadyExists`] if the id, the access key or the slot of `credential` is
    ///   taken, or another record has the access key or slot of `retired`.
    /// * [`BackendError::Unstorable`] if a record or a name in it is too long for the store.
    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError>;

    /// Deletes the record with this id, if its version is `expected`.
    ///
    /// Returns `false` if the record does not exist or has another version.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError>;

    /// Deletes all records of a user that exist when the call starts; returns their number.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError>;

    /// Deletes all records of a project that exist when the call starts; returns their
    /// number.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError>;
}

type Found = Option<Arc<Credential>>;

forward_pointers!(CredentialBackend {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError>;
    async fn get(&self, id: &CredentialId) -> Result<Found, BackendError>;
    async fn find_by_access_key(&self, access_key: &AccessKey) -> Result<Found, BackendError>;
    async fn get_latest(&self, id: &CredentialId) -> Result<Found, BackendError>;
    async fn find_latest_by_access_key(&self, access_key: &AccessKey) -> Result<Found, BackendError>;
    async fn find_by_slot(&self, user_id: &UserId, slot: Slot) -> Result<Found, BackendError>;
    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError>;
    async fn update(&self, credential: &Arc<Credential>, expected: Version) -> Result<bool, BackendError>;
    async fn rotate(&self, credential: &Arc<Credential>, quota: Quota, retired: &Arc<Credential>, expected: Version) -> Result<bool, BackendError>;
    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError>;
    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError>;
    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError>;
});
