//! A backend that rejects key pairs whose limits a mirror in Keystone would lose.
//!
//! Otherwise `--mirror` would silently not copy such a key pair. This is a wrapper, because the
//! mirror alone stores every record, as the contract of a backend requires.

use std::{error::Error, fmt, sync::Arc};

use tower_credentials::keystone::records::is_unlimited_in_keystone;
use tower_credentials::{
    async_trait,
    backend::{BackendError, CredentialBackend, ListQuery, Page},
    domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version},
};

/// Rejects a new key pair with an expiry, a boundary, or a delegation that Keystone's blob cannot
/// express, and a change to such a delegation: [`BackendError::Rejected`] with [`Unlimited`].
///
/// An existing key pair may get an expiry or a boundary: the mirror deletes its copy first, and it
/// remains usable here only.
///
/// A key pair like that from before `--mirror` can be disabled and deleted.
#[derive(Debug)]
pub struct Limited<B> {
    inner: B,
}

impl<B> Limited<B> {
    pub fn new(inner: B) -> Self {
        Self { inner }
    }
}

/// The reason for a rejection: a copy in Keystone would not have the limits of the key pair.
#[derive(Debug)]
pub struct Unlimited;

impl fmt::Display for Unlimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a copy in Keystone would not have the limits of the key pair")
    }
}

impl Error for Unlimited {}

fn check(new: &Credential) -> Result<(), BackendError> {
    if is_unlimited_in_keystone(new) {
        tracing::warn!(id = %new.id, "key pair rejected: {Unlimited}");
        return Err(BackendError::Rejected(Box::new(Unlimited)));
    }
    Ok(())
}

#[async_trait]
impl<B: CredentialBackend> CredentialBackend for Limited<B> {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        check(credential)?;
        self.inner.insert(credential, quota).await
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.inner.get(id).await
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.inner.find_by_access_key(access_key).await
    }

    async fn get_latest(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.inner.get_latest(id).await
    }

    async fn find_latest_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.inner.find_latest_by_access_key(access_key).await
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.inner.find_by_slot(user_id, slot).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.inner.list(query).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        if !credential.terms.are_limiting() {
            check(credential)?;
        }
        self.inner.update(credential, expected).await
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        // The mirror deletes the copy of the replaced key pair, which ends soon.
        check(credential)?;
        self.inner.rotate(credential, quota, retired, expected).await
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        self.inner.delete(id, expected).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        self.inner.purge_user(user_id).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.inner.purge_project(project_id).await
    }
}
