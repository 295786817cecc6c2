//! A store in this process's memory.

mod shelf;

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;

use self::shelf::{Entry, Marker, Shelf};

use super::{BackendError, CredentialBackend, ListQuery, Page};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};

/// Keeps credentials in memory, for as long as the process lives.
///
/// For tests, demonstrations, and stores that are filled at every start. A clone
/// is another handle to the same data.
#[derive(Clone, Default)]
pub struct MemoryBackend {
    // Held for one step at a time and never across an await, so the lock of the
    // standard library serves.
    state: Arc<RwLock<State>>,
}

impl MemoryBackend {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        // Nothing between a write's checks and its end can panic, so a poisoned
        // state is a whole one.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialBackend for MemoryBackend {
    async fn insert(&self, credential: &Credential, quota: Quota) -> Result<(), BackendError> {
        // Copied before the lock is taken: others wait for as little as possible.
        let entry = Entry::new(credential);
        let mut state = self.write();
        let held = || state.users.get(&credential.user_id).map_or(0, Shelf::len);
        if quota != Quota::Unlimited && !quota.admits(held() as u64) {
            return Err(BackendError::QuotaExceeded);
        }
        if state.all.get(&entry.id).is_some() || state.clashes(&entry) {
            return Err(BackendError::AlreadyExists);
        }
        state.put(&entry);
        Ok(())
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(self.read().all.get(&Marker::new(id.as_str())).cloned())
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(self.read().all.find(&Marker::new(access_key.as_str())).cloned())
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(self.read().slots.get(&(user_id.clone(), slot)).cloned())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        let state = self.read();
        // The narrowest index, so that a page costs what it holds and not what
        // others hold.
        let records = match (&query.user_id, &query.project_id) {
            (Some(user_id), _) => state.users.get(user_id),
            (None, Some(project_id)) => state.projects.get(project_id),
            (None, None) => Some(&state.all),
        };
        Ok(records.map_or_else(Page::default, |records| records.page(query)))
    }

    async fn update(
        &self,
        credential: &Credential,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let entry = Entry::new(credential);
        let mut state = self.write();
        let Some(current) = state.current(&entry.id, expected) else {
            return Ok(false);
        };
        if state.clashes(&entry) {
            return Err(BackendError::AlreadyExists);
        }
        state.remove(&current);
        state.put(&entry);
        Ok(true)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let mut state = self.write();
        let Some(current) = state.current(&Marker::new(id.as_str()), expected) else {
            return Ok(false);
        };
        state.remove(&current);
        Ok(true)
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        let mut state = self.write();
        let doomed = state.users.get(user_id).map(Shelf::records).unwrap_or_default();
        Ok(state.remove_all(&doomed))
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        let mut state = self.write();
        let doomed = state.projects.get(project_id).map(Shelf::records).unwrap_or_default();
        Ok(state.remove_all(&doomed))
    }
}

/// Every record, under all that it is looked up by.
#[derive(Default)]
struct State {
    all: Shelf,
    users: HashMap<UserId, Shelf>,
    projects: HashMap<ProjectId, Shelf>,
    slots: HashMap<(UserId, Slot), Arc<Credential>>,
}

impl State {
    fn current(&self, id: &Marker, expected: Version) -> Option<Arc<Credential>> {
        let current = self.all.get(id)?;
        (current.version == expected).then(|| Arc::clone(current))
    }

    /// Whether a record with another id has this one's access key or slot.
    fn clashes(&self, entry: &Entry) -> bool {
        let by_key = entry.access_key.as_ref().and_then(|key| self.all.find(key));
        let by_slot = slot_of(&entry.credential).and_then(|slot| self.slots.get(&slot));
        by_key.into_iter().chain(by_slot).any(|other| other.id != entry.credential.id)
    }

    fn put(&mut self, entry: &Entry) {
        let credential = &entry.credential;
        self.all.put(entry);
        self.users.entry(credential.user_id.clone()).or_default().put(entry);
        if let Some(project_id) = &credential.project_id {
            self.projects.entry(project_id.clone()).or_default().put(entry);
        }
        if let Some(slot) = slot_of(credential) {
            self.slots.insert(slot, Arc::clone(credential));
        }
    }

    fn remove(&mut self, credential: &Credential) {
        let entry = Entry::new(credential);
        self.all.remove(&entry);
        remove_from(&mut self.users, &credential.user_id, &entry);
        if let Some(project_id) = &credential.project_id {
            remove_from(&mut self.projects, project_id, &entry);
        }
        if let Some(slot) = slot_of(credential) {
            self.slots.remove(&slot);
        }
    }

    fn remove_all(&mut self, doomed: &[Arc<Credential>]) -> u64 {
        for credential in doomed {
            self.remove(credential);
        }
        doomed.len() as u64
    }
}

fn slot_of(credential: &Credential) -> Option<(UserId, Slot)> {
    credential.slot.map(|slot| (credential.user_id.clone(), slot))
}

/// Empty shelves are taken down: owners come and go.
fn remove_from<K: Eq + Hash>(shelves: &mut HashMap<K, Shelf>, owner: &K, entry: &Entry) {
    if let Some(shelf) = shelves.get_mut(owner) {
        shelf.remove(entry);
        if shelf.len() == 0 {
            shelves.remove(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn backend() -> MemoryBackend {
        MemoryBackend::default()
    }

    #[cfg(feature = "conformance")]
    crate::backend_conformance_tests!(backend);

    #[tokio::test]
    async fn a_store_whose_writer_panicked_still_serves() {
        let backend = backend().await;
        let handle = backend.clone();
        let panicked = std::thread::spawn(move || {
            let _guard = handle.write();
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        let unknown = CredentialId::from_stored("unknown");
        assert!(backend.get(&unknown).await.unwrap().is_none());
    }

    #[test]
    fn debug_tells_no_record() {
        assert_eq!(format!("{:?}", MemoryBackend::default()), "MemoryBackend { .. }");
    }

    /// The pointers that forward the trait forward all of it, to the right method.
    #[cfg(feature = "conformance")]
    mod behind_an_arc {
        use super::*;

        async fn backend() -> Arc<dyn CredentialBackend> {
            Arc::new(MemoryBackend::default())
        }

        crate::backend_conformance_tests!(backend);
    }

    #[cfg(feature = "conformance")]
    mod behind_a_box {
        use super::*;

        async fn backend() -> Box<dyn CredentialBackend> {
            Box::new(MemoryBackend::default())
        }

        crate::backend_conformance_tests!(backend);
    }
}
