//! A store in this process's memory.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::Hash,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;

use super::{BackendError, CredentialBackend, ListQuery, Order, Page};
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
        let mut state = self.write();
        let held = state.users.get(&credential.user_id).map_or(0, |shelf| shelf.by_id.len());
        if !quota.admits(held as u64) {
            return Err(BackendError::QuotaExceeded);
        }
        if state.all.by_id.contains_key(credential.id.as_str()) || state.clashes(credential) {
            return Err(BackendError::AlreadyExists);
        }
        state.put(credential);
        Ok(())
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(self.read().all.by_id.get(id.as_str()).cloned())
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(self.read().all.by_access_key.get(access_key.as_str()).cloned())
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
        let mut state = self.write();
        let Some(current) = state.current(&credential.id, expected) else {
            return Ok(false);
        };
        if state.clashes(credential) {
            return Err(BackendError::AlreadyExists);
        }
        state.remove(&current);
        state.put(credential);
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
    fn current(&self, id: &CredentialId, expected: Version) -> Option<Arc<Credential>> {
        let current = self.all.by_id.get(id.as_str())?;
        (current.version == expected).then(|| Arc::clone(current))
    }

    /// Whether a record with another id has this one's access key or slot.
    fn clashes(&self, credential: &Credential) -> bool {
        let key = credential.access_key.as_ref();
        let by_key = key.and_then(|key| self.all.by_access_key.get(key.as_str()));
        let by_slot = slot_of(credential).and_then(|slot| self.slots.get(&slot));
        by_key.into_iter().chain(by_slot).any(|other| other.id != credential.id)
    }

    fn put(&mut self, credential: &Credential) {
        let entry = Entry::new(credential);
        self.all.put(&entry);
        self.users.entry(credential.user_id.clone()).or_default().put(&entry);
        if let Some(project_id) = &credential.project_id {
            self.projects.entry(project_id.clone()).or_default().put(&entry);
        }
        if let Some(slot) = slot_of(credential) {
            self.slots.insert(slot, entry.credential);
        }
    }

    fn remove(&mut self, credential: &Credential) {
        self.all.remove(credential);
        remove_from(&mut self.users, &credential.user_id, credential);
        if let Some(project_id) = &credential.project_id {
            remove_from(&mut self.projects, project_id, credential);
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
fn remove_from<K: Eq + Hash>(shelves: &mut HashMap<K, Shelf>, owner: &K, credential: &Credential) {
    if let Some(shelf) = shelves.get_mut(owner) {
        shelf.remove(credential);
        if shelf.by_id.is_empty() {
            shelves.remove(owner);
        }
    }
}

/// A record on its way into the indexes, which share its keys.
struct Entry {
    id: Arc<str>,
    access_key: Option<Arc<str>>,
    credential: Arc<Credential>,
}

impl Entry {
    fn new(credential: &Credential) -> Self {
        Self {
            id: credential.id.as_str().into(),
            access_key: credential.access_key.as_ref().map(|key| key.as_str().into()),
            credential: Arc::new(credential.clone()),
        }
    }
}

type Index = BTreeMap<Arc<str>, Arc<Credential>>;

/// Some of the records, in both orders.
#[derive(Default)]
struct Shelf {
    by_id: Index,
    by_access_key: Index,
}

impl Shelf {
    fn put(&mut self, entry: &Entry) {
        self.by_id.insert(Arc::clone(&entry.id), Arc::clone(&entry.credential));
        if let Some(access_key) = &entry.access_key {
            self.by_access_key.insert(Arc::clone(access_key), Arc::clone(&entry.credential));
        }
    }

    fn remove(&mut self, credential: &Credential) {
        self.by_id.remove(credential.id.as_str());
        if let Some(access_key) = &credential.access_key {
            self.by_access_key.remove(access_key.as_str());
        }
    }

    fn records(&self) -> Vec<Arc<Credential>> {
        self.by_id.values().cloned().collect()
    }

    fn page(&self, query: &ListQuery) -> Page {
        let index = match query.order {
            Order::AccessKey => &self.by_access_key,
            Order::Id => &self.by_id,
        };
        let after = query.after.as_deref().unwrap_or_default();
        let before = query.before.as_deref().filter(|marker| !marker.is_empty());
        let mut page = Page::default();
        // The last record that was looked at: the next page starts behind it.
        let mut last: Option<&Arc<str>> = None;
        let following = index.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        for (examined, (marker, credential)) in following.enumerate() {
            if before.is_some_and(|before| **marker >= *before) {
                break;
            }
            let admitted = query.admits(credential);
            let full = admitted && page.credentials.len() == query.limit();
            if full || examined == ListQuery::MAX_EXAMINED {
                page.next = last.map(ToString::to_string);
                break;
            }
            if admitted {
                page.credentials.push(Arc::clone(credential));
            }
            last = Some(marker);
        }
        page
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
