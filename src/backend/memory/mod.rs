//! A store in this process's memory.

mod shelf;

use std::{
    collections::{HashMap, hash_map::Entry as MapEntry},
    fmt,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;

use self::shelf::{Entry, Shelf};

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
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        // Made before the lock is taken: others wait for as little as possible.
        let entry = Entry::new(credential);
        let mut state = self.write();
        let held = || state.users.get(&credential.user_id).map_or(0, Shelf::len);
        if quota != Quota::Unlimited && !quota.admits(held() as u64) {
            return Err(BackendError::QuotaExceeded);
        }
        if state.put_new(&entry) { Ok(()) } else { Err(BackendError::AlreadyExists) }
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(self.read().by_id.get(id.as_str()).cloned())
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(self.read().by_access_key.get(access_key.as_str()).cloned())
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(self.read().slots.get(&(user_id.clone(), slot)).cloned())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        // The narrowest index, so that a page costs what it holds and not what
        // others hold.
        if let Some(user_id) = &query.user_id {
            let page = self.read().users.get(user_id).map(|own| own.page(query));
            return Ok(page.unwrap_or_default());
        }
        if !self.read().has_shared_indexes() {
            self.write().build_shared_indexes();
        }
        let state = self.read();
        let records = state.shared_shelf(query.project_id.as_ref());
        Ok(records.map_or_else(Page::default, |records| records.page(query)))
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let entry = Entry::new(credential);
        let mut state = self.write();
        let Some(current) = state.current(&credential.id, expected) else {
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
        let Some(current) = state.current(id, expected) else {
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
        state.build_shared_indexes();
        let doomed = state.shared_shelf(Some(project_id)).map(Shelf::records).unwrap_or_default();
        Ok(state.remove_all(&doomed))
    }
}

/// Every record, under all that it is looked up by.
#[derive(Default)]
struct State {
    by_id: HashMap<Arc<str>, Arc<Credential>>,
    by_access_key: HashMap<Arc<str>, Arc<Credential>>,
    slots: HashMap<(UserId, Slot), Arc<Credential>>,
    users: HashMap<UserId, Shelf>,
    /// Made when first asked for: most stores are only ever asked for a user's
    /// records, and keeping more in order costs every write.
    shared: Option<SharedIndexes>,
}

/// The indexes over records of many users.
#[derive(Default)]
struct SharedIndexes {
    all: Shelf,
    projects: HashMap<ProjectId, Shelf>,
}

impl State {
    fn current(&self, id: &CredentialId, expected: Version) -> Option<Arc<Credential>> {
        let current = self.by_id.get(id.as_str())?;
        (current.version == expected).then(|| Arc::clone(current))
    }

    /// Whether a record with another id has this one's access key or slot.
    fn clashes(&self, entry: &Entry) -> bool {
        let by_key = entry.access_key.as_ref().and_then(|key| self.by_access_key.get(key.text()));
        let by_slot = slot_of(&entry.credential).and_then(|slot| self.slots.get(&slot));
        by_key.into_iter().chain(by_slot).any(|other| other.id != entry.credential.id)
    }

    fn has_shared_indexes(&self) -> bool {
        self.shared.is_some()
    }

    fn build_shared_indexes(&mut self) {
        if self.shared.is_none() {
            let mut shared = SharedIndexes::default();
            for credential in self.by_id.values() {
                shared.put(&Entry::new(credential));
            }
            self.shared = Some(shared);
        }
    }

    /// The shelf of a project, or of everything.
    fn shared_shelf(&self, project_id: Option<&ProjectId>) -> Option<&Shelf> {
        let shared = self.shared.as_ref()?;
        project_id.map_or(Some(&shared.all), |project_id| shared.projects.get(project_id))
    }

    /// Puts a record whose id, access key and slot must be free; `false` if they
    /// are not. Each map is searched once, for the check and the write.
    fn put_new(&mut self, entry: &Entry) -> bool {
        let credential = &entry.credential;
        let slot = slot_of(credential);
        if slot.as_ref().is_some_and(|slot| self.slots.contains_key(slot)) {
            return false;
        }
        let MapEntry::Vacant(by_id) = self.by_id.entry(Arc::clone(entry.id.text())) else {
            return false;
        };
        if let Some(access_key) = &entry.access_key {
            match self.by_access_key.entry(Arc::clone(access_key.text())) {
                MapEntry::Occupied(_) => return false,
                MapEntry::Vacant(by_access_key) => {
                    by_access_key.insert(Arc::clone(credential));
                }
            }
        }
        by_id.insert(Arc::clone(credential));
        if let Some(slot) = slot {
            self.slots.insert(slot, Arc::clone(credential));
        }
        self.shelve(entry);
        true
    }

    fn put(&mut self, entry: &Entry) {
        let credential = &entry.credential;
        self.by_id.insert(Arc::clone(entry.id.text()), Arc::clone(credential));
        if let Some(access_key) = &entry.access_key {
            self.by_access_key.insert(Arc::clone(access_key.text()), Arc::clone(credential));
        }
        if let Some(slot) = slot_of(credential) {
            self.slots.insert(slot, Arc::clone(credential));
        }
        self.shelve(entry);
    }

    fn shelve(&mut self, entry: &Entry) {
        put_on(&mut self.users, &entry.credential.user_id, entry);
        if let Some(shared) = &mut self.shared {
            shared.put(entry);
        }
    }

    fn remove(&mut self, credential: &Arc<Credential>) {
        let entry = Entry::new(credential);
        self.by_id.remove(entry.id.text());
        if let Some(access_key) = &entry.access_key {
            self.by_access_key.remove(access_key.text());
        }
        if let Some(slot) = slot_of(credential) {
            self.slots.remove(&slot);
        }
        remove_from(&mut self.users, &credential.user_id, &entry);
        if let Some(shared) = &mut self.shared {
            shared.remove(&entry);
        }
    }

    fn remove_all(&mut self, doomed: &[Arc<Credential>]) -> u64 {
        for credential in doomed {
            self.remove(credential);
        }
        doomed.len() as u64
    }
}

impl SharedIndexes {
    fn put(&mut self, entry: &Entry) {
        self.all.put(entry);
        if let Some(project_id) = &entry.credential.project_id {
            put_on(&mut self.projects, project_id, entry);
        }
    }

    fn remove(&mut self, entry: &Entry) {
        self.all.remove(entry);
        if let Some(project_id) = &entry.credential.project_id {
            remove_from(&mut self.projects, project_id, entry);
        }
    }
}

fn slot_of(credential: &Credential) -> Option<(UserId, Slot)> {
    credential.slot.map(|slot| (credential.user_id.clone(), slot))
}

/// Puts a record on its owner's shelf, which is put up with the first one.
fn put_on<K: Clone + Eq + Hash>(shelves: &mut HashMap<K, Shelf>, owner: &K, entry: &Entry) {
    match shelves.get_mut(owner) {
        Some(shelf) => shelf.put(entry),
        None => shelves.entry(owner.clone()).or_default().put(entry),
    }
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
