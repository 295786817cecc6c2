//! Stores credentials in the memory of one process.
//!
//! Use it for tests, demonstrations, and stores that are filled at every start: the records are
//! lost when the process ends. Start with [`MemoryBackend::default`].

mod feed;
mod load;
mod shelf;
mod usage;

use std::{
    collections::{HashMap, hash_map::Entry as MapEntry},
    fmt,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::SystemTime,
};

use async_trait::async_trait;

use self::shelf::{Entry, Shelf};

use super::{
    BackendError, CredentialBackend, ListQuery, Order, Page,
    contract::{Change, Maintenance, Recount},
    hub::Hub,
};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};

/// Keeps credentials in memory, for as long as the process lives.
///
/// For tests, demonstrations, and stores that are filled at every start. A clone is another
/// handle to the same data.
#[derive(Clone, Default)]
pub struct MemoryBackend {
    // Locked for one step at a time and never across an await, so a standard lock suffices.
    state: Arc<RwLock<State>>,
}

impl MemoryBackend {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        // A write cannot panic between its checks and its end, so a poisoned state is
        // consistent.
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
        // Created before the lock is taken, so that others wait less.
        let entry = Entry::new(credential);
        let mut state = self.write();
        let held = || state.users.get(&credential.user_id).map_or(0, Shelf::len);
        if quota != Quota::Unlimited && !quota.admits(held() as u64) {
            return Err(BackendError::QuotaExceeded);
        }
        if !state.put_new(&entry) {
            return Err(BackendError::AlreadyExists);
        }
        state.hub.report(|| vec![Change::written(credential)]);
        Ok(())
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(self.read().all.get(id.as_str()).cloned())
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
        let page = self.read().page(query);
        Ok(page.unwrap_or_else(|| self.write().sorted_page(query)))
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
        state.replace(&current, &entry);
        state.hub.report(|| vec![Change::written(credential)]);
        Ok(true)
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let (entry, retired_entry) = (Entry::new(credential), Entry::new(retired));
        let mut state = self.write();
        let Some(current) = state.current(&retired.id, expected) else {
            return Ok(false);
        };
        let held = || state.users.get(&credential.user_id).map_or(0, Shelf::len);
        if quota != Quota::Unlimited && !quota.admits(held() as u64) {
            return Err(BackendError::QuotaExceeded);
        }
        if state.clashes(&retired_entry) {
            return Err(BackendError::AlreadyExists);
        }
        state.replace(&current, &retired_entry);
        if !state.put_new(&entry) {
            state.replace(retired, &Entry::new(&current));
            return Err(BackendError::AlreadyExists);
        }
        state.hub.report(|| vec![Change::written(credential), Change::written(retired)]);
        Ok(true)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let mut state = self.write();
        let Some(current) = state.current(id, expected) else {
            return Ok(false);
        };
        state.forget(&current);
        state.hub.report(|| vec![Change::deleted(id.clone())]);
        Ok(true)
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        let mut state = self.write();
        let doomed = state.users.get(user_id).map(Shelf::records).unwrap_or_default();
        state.hub.report(|| vec![Change::User(user_id.clone())]);
        Ok(state.remove_all(&doomed))
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        let mut state = self.write();
        let doomed = state.projects().get(project_id).map(Shelf::records).unwrap_or_default();
        state.hub.report(|| vec![Change::Project(project_id.clone())]);
        Ok(state.remove_all(&doomed))
    }
}

#[async_trait]
impl Maintenance for MemoryBackend {
    async fn discard(&self, id: &CredentialId) -> Result<bool, BackendError> {
        let mut state = self.write();
        let Some(current) = state.all.get(id.as_str()).cloned() else {
            return Ok(false);
        };
        state.forget(&current);
        state.hub.report(|| vec![Change::deleted(id.clone())]);
        Ok(true)
    }

    async fn check_indexes(&self) -> Result<Vec<String>, BackendError> {
        Ok(Vec::new())
    }

    async fn repair_indexes(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn check_counters(&self) -> Result<Option<Recount>, BackendError> {
        Ok(None)
    }

    async fn recount(&self) -> Result<Option<Recount>, BackendError> {
        Ok(None)
    }

    async fn disk_bytes(&self) -> Result<Option<u64>, BackendError> {
        Ok(None)
    }
}

/// Every record, in all indexes.
#[derive(Default)]
struct State {
    all: Shelf,
    by_access_key: HashMap<Arc<str>, Arc<Credential>>,
    slots: HashMap<(UserId, Slot), Arc<Credential>>,
    users: HashMap<UserId, Shelf>,
    /// Built at the first query: in most stores only the records of users are listed.
    projects: Option<HashMap<ProjectId, Shelf>>,
    /// The last uses of existing records.
    last_used: HashMap<CredentialId, SystemTime>,
    /// Changes are reported under the lock, and so in order.
    hub: Hub,
}

impl State {
    /// Returns a page of the smallest shelf, so that the cost does not depend on other
    /// records. `None` if the shelf is not sorted yet.
    fn page(&self, query: &ListQuery) -> Option<Page> {
        let narrowest = match (&query.user_id, &query.project_id) {
            _ if query.order == Order::ExpiresAt => Some(&self.all),
            (Some(user_id), _) => self.users.get(user_id),
            (None, Some(project_id)) => self.projects.as_ref()?.get(project_id),
            (None, None) => Some(&self.all),
        };
        narrowest.map_or_else(|| Some(Page::default()), |shelf| shelf.page(query))
    }

    /// Like [`page`](Self::page), but sorts the shelf first.
    fn sorted_page(&mut self, query: &ListQuery) -> Page {
        let narrowest = match (&query.user_id, &query.project_id) {
            _ if query.order == Order::ExpiresAt => Some(&mut self.all),
            (Some(user_id), _) => self.users.get_mut(user_id),
            (None, Some(project_id)) => self.projects().get_mut(project_id),
            (None, None) => Some(&mut self.all),
        };
        narrowest.map_or_else(Page::default, |shelf| shelf.sorted_page(query))
    }

    fn projects(&mut self) -> &mut HashMap<ProjectId, Shelf> {
        self.projects.get_or_insert_with(|| {
            let mut projects = HashMap::new();
            for credential in self.all.records() {
                if let Some(project_id) = &credential.project_id {
                    put_on(&mut projects, project_id, &Entry::new(&credential));
                }
            }
            projects
        })
    }

    fn current(&self, id: &CredentialId, expected: Version) -> Option<Arc<Credential>> {
        let current = self.all.get(id.as_str())?;
        (current.version == expected).then(|| Arc::clone(current))
    }

    /// Returns whether a record with another id has this one's access key or slot.
    fn clashes(&self, entry: &Entry) -> bool {
        let by_key = entry.access_key.as_ref().and_then(|key| self.by_access_key.get(key));
        let by_slot = slot_of(&entry.credential).and_then(|slot| self.slots.get(&slot));
        by_key.into_iter().chain(by_slot).any(|other| other.id != entry.credential.id)
    }

    /// Stores a record whose id, access key and slot must be free; returns `false` if they are
    /// not.
    fn put_new(&mut self, entry: &Entry) -> bool {
        let credential = &entry.credential;
        let slot = slot_of(credential);
        if slot.as_ref().is_some_and(|slot| self.slots.contains_key(slot)) {
            return false;
        }
        if self.all.get(&entry.id).is_some() {
            return false;
        }
        if let Some(access_key) = &entry.access_key {
            match self.by_access_key.entry(Arc::clone(access_key)) {
                MapEntry::Occupied(_) => return false,
                MapEntry::Vacant(by_access_key) => {
                    by_access_key.insert(Arc::clone(credential));
                }
            }
        }
        if let Some(slot) = slot {
            self.slots.insert(slot, Arc::clone(credential));
        }
        self.shelve(entry);
        true
    }

    fn put(&mut self, entry: &Entry) {
        let credential = &entry.credential;
        if let Some(access_key) = &entry.access_key {
            self.by_access_key.insert(Arc::clone(access_key), Arc::clone(credential));
        }
        if let Some(slot) = slot_of(credential) {
            self.slots.insert(slot, Arc::clone(credential));
        }
        self.shelve(entry);
    }

    fn shelve(&mut self, entry: &Entry) {
        self.all.put(entry);
        put_on(&mut self.users, &entry.credential.user_id, entry);
        if let (Some(projects), Some(id)) = (&mut self.projects, &entry.credential.project_id) {
            put_on(projects, id, entry);
        }
    }

    /// Puts the new state of a record in the place of its current one.
    fn replace(&mut self, current: &Arc<Credential>, entry: &Entry) {
        let new = &entry.credential;
        let keeps_places = (&current.user_id, &current.project_id, &current.slot)
            == (&new.user_id, &new.project_id, &new.slot)
            && (&current.access_key, current.terms.expires_at())
                == (&new.access_key, new.terms.expires_at());
        if !keeps_places {
            self.remove(current);
        }
        self.put(entry);
    }

    fn remove(&mut self, credential: &Arc<Credential>) {
        let entry = Entry::new(credential);
        self.all.remove(&entry);
        if let Some(access_key) = &entry.access_key {
            self.by_access_key.remove(access_key);
        }
        if let Some(slot) = slot_of(credential) {
            self.slots.remove(&slot);
        }
        remove_from(&mut self.users, &credential.user_id, &entry);
        if let (Some(projects), Some(id)) = (&mut self.projects, &credential.project_id) {
            remove_from(projects, id, &entry);
        }
    }

    fn remove_all(&mut self, doomed: &[Arc<Credential>]) -> u64 {
        for credential in doomed {
            self.forget(credential);
        }
        doomed.len() as u64
    }

    /// Removes a record and its last use.
    fn forget(&mut self, credential: &Arc<Credential>) {
        self.remove(credential);
        self.last_used.remove(&credential.id);
    }

    /// Records a use of an existing record; the latest use wins.
    fn record_use(&mut self, id: &CredentialId, time: SystemTime) {
        if self.all.get(id.as_str()).is_none() {
            return;
        }
        match self.last_used.get_mut(id) {
            Some(latest) => *latest = time.max(*latest),
            None => drop(self.last_used.insert(id.clone(), time)),
        }
    }
}

fn slot_of(credential: &Credential) -> Option<(UserId, Slot)> {
    credential.slot.map(|slot| (credential.user_id.clone(), slot))
}

/// Puts a record on its owner's shelf, which the first record creates.
fn put_on<K: Clone + Eq + Hash>(shelves: &mut HashMap<K, Shelf>, owner: &K, entry: &Entry) {
    match shelves.get_mut(owner) {
        Some(shelf) => shelf.put(entry),
        None => shelves.entry(owner.clone()).or_default().put(entry),
    }
}

/// Removes a record from its owner's shelf, and the shelf when it is empty: owners come and
/// go.
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

    #[cfg(feature = "conformance")]
    mod feed {
        use super::*;

        async fn backend_and_feed() -> (MemoryBackend, MemoryBackend) {
            let backend = MemoryBackend::default();
            (backend.clone(), backend)
        }

        crate::feed_conformance_tests!(backend_and_feed);
    }

    #[tokio::test]
    async fn store_works_after_a_writer_panicked() {
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
    fn debug_shows_no_record() {
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
