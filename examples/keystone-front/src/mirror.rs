//! A backend whose changes are made in Keystone too, so that Keystone's own
//! `ec2tokens` knows the keys, and so that one can go back to Keystone alone.
//!
//! There is no transaction over both, so each write has an order in which a failure
//! half-way does the least harm:
//!
//! * **insert**: here, then in Keystone. If Keystone refuses or does not answer, the
//!   record is taken back here.
//! * **update**: here, then in Keystone. If that fails the record becomes again what
//!   it was.
//! * **disabling**: in Keystone, which has no copy of what is `Inactive`, then here. If
//!   Keystone fails, nothing has happened here.
//! * **delete**: in Keystone, then here. If Keystone fails, nothing has happened.
//! * **purges**: only here. Keystone deletes its copies with their owner.
//!
//! Such a failure is [`BackendError::Unavailable`], and Keystone may have done its part
//! all the same. So it is settled in the background until Keystone has what is here, for
//! ten minutes. If that ends too early, the next change of the record does the same, and
//! a deletion finds every copy, whatever it has become. What stays possible is a copy
//! too many of a record whose *making* failed, if Keystone was away for so long or the
//! front ended: the log tells its id.
//!
//! Writes on one record take turns, within one process; with several fronts over one
//! store, or changes made in Keystone itself, the copies can differ until the next
//! change.
//!
//! Passwords and root keys are not copied, nor key pairs whose delegation Keystone's blob
//! cannot name: such a copy would be good for more than the key is here.
//! [`Limited`](crate::limits::Limited) refuses those.

use std::{
    collections::hash_map::DefaultHasher,
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

use crate::copies::{Copies, Covering, Refusal};

/// How many writes can be under way, each on another record.
const TURNS: usize = 256;

/// How often a change is tried anew that somebody else came before.
const ATTEMPTS: usize = 3;

/// How many seconds to wait before each attempt to settle a change that failed.
const WAITS: [u64; 7] = [0, 1, 5, 15, 60, 180, 360];

/// Copies changes to Keystone: all, or of what is no key pair. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub struct Mirrored<B> {
    inner: B,
    copies: Copies,
    turns: Arc<[Arc<Mutex<()>>]>,
}

impl<B: CredentialBackend + Clone> Mirrored<B> {
    pub fn new(inner: B, keystone: KeystoneClient, covering: Covering) -> Self {
        let turns = (0..TURNS).map(|_| Arc::default()).collect();
        Self { inner, copies: Copies::new(keystone, covering), turns }
    }

    /// Waits for the writes on this record that came before.
    async fn turn(&self, id: &CredentialId) -> OwnedMutexGuard<()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default();
        Arc::clone(&self.turns[at]).lock_owned().await
    }

    async fn insert_both(self, new: Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        let _turn = self.turn(&new.id).await;
        self.inner.insert(&new, quota).await?;
        let Err(refusal) = self.copies.create(&new).await else { return Ok(()) };
        self.take_back(&new.id).await;
        if let Refusal::Failed(_) = refusal {
            self.settle_later(None, Some(new));
        }
        Err(told(refusal))
    }

    /// Deletes the record that was just inserted, whatever became of it since.
    async fn take_back(&self, id: &CredentialId) {
        for _ in 0..ATTEMPTS {
            match self.inner.get(id).await {
                Ok(None) => return,
                Ok(Some(found)) => match self.inner.delete(id, found.version).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::error!(%error, id = ?id.as_str(), "record not taken back");
                    }
                },
                Err(error) => tracing::error!(%error, id = ?id.as_str(), "record not taken back"),
            }
        }
        tracing::error!(id = ?id.as_str(), "a record stays that Keystone has no copy of");
    }

    async fn update_both(
        self,
        new: Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let _turn = self.turn(&new.id).await;
        let Some(old) = self.inner.get(&new.id).await?.filter(|old| old.version == expected) else {
            // Of another version than expected: then this says so, and changes nothing.
            return self.inner.update(&new, expected).await;
        };
        if !self.copies.want(&new) {
            let gone = self.copies.settle(&[&old], &[&new], None).await;
            let changed = match gone {
                Ok(()) => self.inner.update(&new, expected).await,
                Err(refusal) => Err(told(refusal)),
            };
            if !matches!(changed, Ok(true)) {
                self.settle_later(Some(old), Some(new));
            }
            return changed;
        }
        if !self.inner.update(&new, expected).await? {
            return Ok(false);
        }
        let settled = self.copies.settle(&[&old], &[&new], Some(&new)).await;
        let Err(refusal) = settled else { return Ok(true) };
        let mut undone = (*old).clone();
        undone.version = new.version.next();
        match self.inner.update(&Arc::new(undone), new.version).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(id = ?new.id.as_str(), "changed again before it was undone");
            }
            Err(error) => tracing::error!(%error, id = ?new.id.as_str(), "change not undone"),
        }
        self.settle_later(Some(old), Some(new));
        Err(told(refusal))
    }

    async fn delete_both(self, id: CredentialId, expected: Version) -> Result<bool, BackendError> {
        let _turn = self.turn(&id).await;
        let Some(old) = self.inner.get(&id).await?.filter(|old| old.version == expected) else {
            return self.inner.delete(&id, expected).await;
        };
        let deleted = match self.copies.settle(&[&old], &[], None).await {
            Ok(()) => self.inner.delete(&id, expected).await,
            Err(refusal) => Err(told(refusal)),
        };
        if !matches!(deleted, Ok(true)) {
            self.settle_later(Some(old), None);
        }
        deleted
    }

    /// Has Keystone agree with what is here after a write that failed, in the
    /// background: of a record that was `held`, or only `tried`, or both.
    fn settle_later(&self, held: Option<Arc<Credential>>, tried: Option<Arc<Credential>>) {
        let this = self.clone();
        tokio::spawn(async move {
            let (held, tried) = (held.as_deref(), tried.as_deref());
            let Some(id) = held.or(tried).map(|state| &state.id) else { return };
            for seconds in WAITS {
                sleep(Duration::from_secs(seconds)).await;
                match this.settle(id, held, tried).await {
                    Ok(()) => return,
                    Err(refusal) => {
                        tracing::warn!(?refusal, id = ?id.as_str(), "Keystone may differ");
                    }
                }
            }
            tracing::error!(id = ?id.as_str(), "Keystone may have another state of a record, or a copy too many");
        });
    }

    async fn settle(
        &self,
        id: &CredentialId,
        held: Option<&Credential>,
        tried: Option<&Credential>,
    ) -> Result<(), Refusal> {
        let _turn = self.turn(id).await;
        let now = self.inner.get(id).await?;
        let states: Vec<&Credential> = held.into_iter().chain(tried).collect();
        match now.as_deref() {
            Some(now) => {
                let held: Vec<&Credential> = held.into_iter().chain([now]).collect();
                self.copies.settle(&held, &states, Some(now)).await
            }
            // Its access key is anybody's by now.
            None => self.copies.settle(&[], &states, None).await,
        }
    }
}

/// Runs a write to its end, even if whoever waits for it goes away.
async fn whole<T: Send + 'static>(
    write: impl Future<Output = Result<T, BackendError>> + Send + 'static,
) -> Result<T, BackendError> {
    let ended = tokio::spawn(write).await;
    ended.unwrap_or_else(|error| Err(BackendError::Unavailable(error.into())))
}

fn told(refusal: Refusal) -> BackendError {
    match refusal {
        Refusal::Conflict => BackendError::AlreadyExists,
        Refusal::Failed(error) => BackendError::Unavailable(error),
    }
}

#[async_trait]
impl<B: CredentialBackend + Clone> CredentialBackend for Mirrored<B> {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        if !self.copies.want(credential) {
            return self.inner.insert(credential, quota).await;
        }
        whole(self.clone().insert_both(Arc::clone(credential), quota)).await
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
        whole(self.clone().update_both(Arc::clone(credential), expected)).await
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        whole(self.clone().delete_both(id.clone(), expected)).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        self.inner.purge_user(user_id).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.inner.purge_project(project_id).await
    }
}
