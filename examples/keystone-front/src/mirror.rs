//! A backend that copies its changes to Keystone. So Keystone's own `ec2tokens` knows the keys, and
//! an operator can return to Keystone alone.
//!
//! No transaction covers both. So the order of each write limits the harm of a failure:
//!
//! * **insert**: in the store, then in Keystone. If Keystone fails, the record is deleted again.
//! * **update**: in the store, then in Keystone. If Keystone fails, the record is restored.
//! * **disabling**: in Keystone, which has no copies of disabled keys, then in the store. If Keystone
//!   fails, the store is unchanged.
//! * **delete**: in Keystone, then in the store. If Keystone fails, the store is unchanged.
//! * **rotation**: the copy of the replaced key pair is deleted, because Keystone knows no expiry.
//!   Then both records are written in the store, and the new one in Keystone. If the store or
//!   Keystone fails, both are restored.
//! * **purges**: only in the store. Keystone deletes the credentials of a deleted owner itself.
//!
//! Such a failure is [`BackendError::Unavailable`], and its outcome in Keystone is unknown. So a
//! background task reconciles Keystone with the store for ten minutes. If that is not enough, the
//! next change of the record does the same, and a deletion finds all copies. If an *insert* failed
//! and Keystone stays unavailable for longer, or the front stops, Keystone may keep a copy without
//! a record. The log contains its id.
//!
//! Writes on one record are serialized within a process. With several fronts on one store, or
//! changes in Keystone itself, copies can differ until the next change.
//!
//! Passwords, root keys, and key pairs with an expiry, a boundary, or a delegation that Keystone's
//! blob cannot express are not copied: the copy would have more rights. If an update makes a key
//! pair one of these, its copy is deleted first. [`Limited`](crate::limits::Limited) rejects writes
//! of such key pairs.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    future::Future,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::sleep,
};
use tower_credentials::{
    async_trait,
    backend::{BackendError, CredentialBackend, ListQuery, Page},
    domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version},
    keystone::KeystoneClient,
};

use crate::copies::{Copies, CopyError, Coverage};

/// The number of locks for records.
const LOCKS: usize = 256;

/// How often a change is retried after a concurrent change.
const ATTEMPTS: usize = 3;

/// The pause before each reconciliation, in seconds.
const PAUSES: [u64; 7] = [0, 1, 5, 15, 60, 180, 360];

/// Copies changes to Keystone. Clones share the store and the locks.
#[derive(Clone, Debug)]
pub struct Mirrored<B> {
    inner: B,
    copies: Copies,
    locks: Arc<[Arc<Mutex<()>>]>,
}

impl<B: CredentialBackend + Clone> Mirrored<B> {
    pub fn new(inner: B, keystone: KeystoneClient, coverage: Coverage) -> Self {
        let locks = (0..LOCKS).map(|_| Arc::default()).collect();
        Self { inner, copies: Copies::new(keystone, coverage), locks }
    }

    /// Waits for earlier writes on this record.
    async fn lock(&self, id: &CredentialId) -> OwnedMutexGuard<()> {
        Arc::clone(&self.locks[place(id)]).lock_owned().await
    }

    /// Waits for earlier writes on these two records.
    async fn lock_both(&self, ids: [&CredentialId; 2]) -> Vec<OwnedMutexGuard<()>> {
        // In one order, so that no two writes wait for each other.
        let places = BTreeSet::from(ids.map(place));
        let mut guards = Vec::with_capacity(places.len());
        for place in places {
            guards.push(Arc::clone(&self.locks[place]).lock_owned().await);
        }
        guards
    }

    async fn insert_both(self, new: Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        let _lock = self.lock(&new.id).await;
        self.inner.insert(&new, quota).await?;
        let Err(error) = self.copies.create(&new).await else { return Ok(()) };
        self.undo_insert(&new.id).await;
        if let CopyError::Failed(_) = error {
            self.reconcile_later(None, Some(new));
        }
        Err(backend_error(error))
    }

    /// Deletes the record that was just inserted, in any version.
    async fn undo_insert(&self, id: &CredentialId) {
        for _ in 0..ATTEMPTS {
            match self.inner.get_latest(id).await {
                Ok(None) => return,
                Ok(Some(found)) => match self.inner.delete(id, found.version).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::error!(%error, id = id.as_str(), "cannot undo an insert");
                    }
                },
                Err(error) => tracing::error!(%error, id = id.as_str(), "cannot undo an insert"),
            }
        }
        tracing::error!(id = id.as_str(), "a record without a copy in Keystone remains");
    }

    async fn update_both(
        self,
        new: Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let _lock = self.lock(&new.id).await;
        let Some(old) = self.inner.get_latest(&new.id).await?.filter(|old| old.version == expected)
        else {
            // The update returns `false`: the version is not the expected one.
            return self.inner.update(&new, expected).await;
        };
        if !self.copies.requires(&new) {
            let deleted = self.copies.reconcile(&[&old], &[&new], None).await;
            let changed = match deleted {
                Ok(()) => self.inner.update(&new, expected).await,
                Err(error) => Err(backend_error(error)),
            };
            if !matches!(changed, Ok(true)) {
                self.reconcile_later(Some(old), Some(new));
            }
            return changed;
        }
        if !self.inner.update(&new, expected).await? {
            return Ok(false);
        }
        let reconciled = self.copies.reconcile(&[&old], &[&new], Some(&new)).await;
        let Err(error) = reconciled else { return Ok(true) };
        self.undo_update(&old, &new).await;
        self.reconcile_later(Some(old), Some(new));
        Err(backend_error(error))
    }

    /// Restores the state before an update.
    async fn undo_update(&self, old: &Credential, new: &Credential) {
        let mut undone = old.clone();
        undone.version = new.version.next();
        match self.inner.update(&Arc::new(undone), new.version).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(id = new.id.as_str(), "record changed before the update was undone");
            }
            Err(error) => tracing::error!(%error, id = new.id.as_str(), "cannot undo an update"),
        }
    }

    async fn rotate_both(
        self,
        new: Arc<Credential>,
        quota: Quota,
        retired: Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let _locks = self.lock_both([&new.id, &retired.id]).await;
        let old = self.inner.get_latest(&retired.id).await?;
        let Some(old) = old.filter(|old| old.version == expected) else {
            // The rotation returns `false`: the version is not the expected one.
            return self.inner.rotate(&new, quota, &retired, expected).await;
        };
        let keeps_copy = self.copies.requires(&retired);
        let deleted = if keeps_copy {
            Ok(())
        } else {
            self.copies.reconcile(&[&old], &[&retired], None).await
        };
        let rotated = match deleted {
            Ok(()) => self.inner.rotate(&new, quota, &retired, expected).await,
            Err(error) => Err(backend_error(error)),
        };
        match &rotated {
            Ok(true) => {}
            // The outcome is unknown: the new record may be stored.
            Err(BackendError::Unavailable(_)) => {
                self.reconcile_later(Some(old), Some(retired));
                self.reconcile_later(None, Some(new));
                return rotated;
            }
            _ => {
                self.reconcile_later(Some(old), Some(retired));
                return rotated;
            }
        }
        let mut copied = if keeps_copy {
            self.copies.reconcile(&[&old], &[&retired], Some(&retired)).await
        } else {
            Ok(())
        };
        if copied.is_ok() && self.copies.requires(&new) {
            copied = self.copies.create(&new).await;
        }
        let Err(error) = copied else { return Ok(true) };
        // The new record first: it may have an access key that the old one had.
        self.undo_insert(&new.id).await;
        self.undo_update(&old, &retired).await;
        self.reconcile_later(Some(old), Some(retired));
        if let CopyError::Failed(_) = error {
            self.reconcile_later(None, Some(new));
        }
        Err(backend_error(error))
    }

    async fn delete_both(self, id: CredentialId, expected: Version) -> Result<bool, BackendError> {
        let _lock = self.lock(&id).await;
        let Some(old) = self.inner.get_latest(&id).await?.filter(|old| old.version == expected)
        else {
            return self.inner.delete(&id, expected).await;
        };
        let deleted = match self.copies.reconcile(&[&old], &[], None).await {
            Ok(()) => self.inner.delete(&id, expected).await,
            Err(error) => Err(backend_error(error)),
        };
        if !matches!(deleted, Ok(true)) {
            self.reconcile_later(Some(old), None);
        }
        deleted
    }

    /// Reconciles Keystone with the store in the background after a failed write. `stored` and
    /// `attempted` are the states of the record before and after the write.
    fn reconcile_later(&self, stored: Option<Arc<Credential>>, attempted: Option<Arc<Credential>>) {
        let this = self.clone();
        tokio::spawn(async move {
            let (stored, attempted) = (stored.as_deref(), attempted.as_deref());
            let Some(id) = stored.or(attempted).map(|state| &state.id) else { return };
            for seconds in PAUSES {
                sleep(Duration::from_secs(seconds)).await;
                match this.reconcile(id, stored, attempted).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::warn!(
                            ?error,
                            id = id.as_str(),
                            "Keystone may differ from the store"
                        );
                    }
                }
            }
            tracing::error!(
                id = id.as_str(),
                "stopped retrying: Keystone may differ from the store"
            );
        });
    }

    async fn reconcile(
        &self,
        id: &CredentialId,
        stored: Option<&Credential>,
        attempted: Option<&Credential>,
    ) -> Result<(), CopyError> {
        let _lock = self.lock(id).await;
        let now = self.inner.get_latest(id).await?;
        let states: Vec<&Credential> = stored.into_iter().chain(attempted).collect();
        match now.as_deref() {
            Some(now) => {
                let stored: Vec<&Credential> = stored.into_iter().chain([now]).collect();
                self.copies.reconcile(&stored, &states, Some(now)).await
            }
            // Another record may have the access key now.
            None => self.copies.reconcile(&[], &states, None).await,
        }
    }
}

/// The place of the lock for a record.
fn place(id: &CredentialId) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default()
}

/// Completes a write even if the caller is dropped.
async fn complete<T: Send + 'static>(
    write: impl Future<Output = Result<T, BackendError>> + Send + 'static,
) -> Result<T, BackendError> {
    let result = tokio::spawn(write).await;
    result.unwrap_or_else(|error| Err(BackendError::Unavailable(error.into())))
}

fn backend_error(error: CopyError) -> BackendError {
    match error {
        CopyError::Conflict => BackendError::AlreadyExists,
        CopyError::Failed(error) => BackendError::Unavailable(error),
    }
}

#[async_trait]
impl<B: CredentialBackend + Clone> CredentialBackend for Mirrored<B> {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        if !self.copies.requires(credential) {
            return self.inner.insert(credential, quota).await;
        }
        complete(self.clone().insert_both(Arc::clone(credential), quota)).await
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
        complete(self.clone().update_both(Arc::clone(credential), expected)).await
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let (new, retired) = (Arc::clone(credential), Arc::clone(retired));
        complete(self.clone().rotate_both(new, quota, retired, expected)).await
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        complete(self.clone().delete_both(id.clone(), expected)).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        self.inner.purge_user(user_id).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.inner.purge_project(project_id).await
    }
}
