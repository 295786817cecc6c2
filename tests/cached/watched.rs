//! A backend that counts calls, and waits, fails and panics on demand.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::Semaphore;
use tower_credentials::{
    async_trait,
    backend::{BackendError, CredentialBackend, ListQuery, Page, memory::MemoryBackend},
    domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version},
};

/// The cause of the backend's errors while it is down.
pub(crate) const CAUSE: &str = "connection to db-7.internal refused";

type Found = Result<Option<Arc<Credential>>, BackendError>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Watched(Arc<State>);

#[derive(Debug, Default)]
struct State {
    inner: MemoryBackend,
    finds: AtomicUsize,
    other_reads: AtomicUsize,
    down: AtomicBool,
    panics: AtomicBool,
    jitters: AtomicBool,
    reads: Gate,
    writes: Gate,
}

impl Watched {
    /// The records of the backend: a write here is a write of another process.
    pub(crate) fn elsewhere(&self) -> &MemoryBackend {
        &self.0.inner
    }

    /// The number of lookups by access key.
    pub(crate) fn finds(&self) -> usize {
        self.0.finds.load(SeqCst)
    }

    /// The number of other reads.
    pub(crate) fn other_reads(&self) -> usize {
        self.0.other_reads.load(SeqCst)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.0.down.store(down, SeqCst);
    }

    /// Sets whether calls panic.
    pub(crate) fn set_panics(&self, panics: bool) {
        self.0.panics.store(panics, SeqCst);
    }

    /// From now on calls take some time, before and after their work.
    pub(crate) fn jitter(&self) {
        self.0.jitters.store(true, SeqCst);
    }

    /// Blocks lookups by access key or id between their read and their answer.
    pub(crate) fn reads(&self) -> &Gate {
        &self.0.reads
    }

    /// Blocks writes before they start.
    pub(crate) fn writes(&self) -> &Gate {
        &self.0.writes
    }

    async fn up(&self) -> Result<&MemoryBackend, BackendError> {
        self.pause().await;
        assert!(!self.0.panics.load(SeqCst), "on purpose");
        if self.0.down.load(SeqCst) {
            return Err(BackendError::Unavailable(CAUSE.into()));
        }
        Ok(&self.0.inner)
    }

    async fn up_for_write(&self) -> Result<&MemoryBackend, BackendError> {
        self.0.writes.pass().await;
        self.up().await
    }

    async fn pause(&self) {
        if self.0.jitters.load(SeqCst) {
            for _ in 0..rand::random_range(0..4) {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[async_trait]
impl CredentialBackend for Watched {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        let result = self.up_for_write().await?.insert(credential, quota).await;
        self.pause().await;
        result
    }

    async fn get(&self, id: &CredentialId) -> Found {
        self.0.other_reads.fetch_add(1, SeqCst);
        let found = self.up().await?.get(id).await;
        self.0.reads.pass().await;
        self.pause().await;
        found
    }

    async fn find_by_access_key(&self, access_key: &AccessKey) -> Found {
        self.0.finds.fetch_add(1, SeqCst);
        let found = self.up().await?.find_by_access_key(access_key).await;
        self.0.reads.pass().await;
        self.pause().await;
        found
    }

    async fn find_by_slot(&self, user_id: &UserId, slot: Slot) -> Found {
        self.0.other_reads.fetch_add(1, SeqCst);
        self.up().await?.find_by_slot(user_id, slot).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.0.other_reads.fetch_add(1, SeqCst);
        self.up().await?.list(query).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let result = self.up_for_write().await?.update(credential, expected).await;
        self.pause().await;
        result
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let inner = self.up_for_write().await?;
        let result = inner.rotate(credential, quota, retired, expected).await;
        self.pause().await;
        result
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let result = self.up_for_write().await?.delete(id, expected).await;
        self.pause().await;
        result
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        let result = self.up_for_write().await?.purge_user(user_id).await;
        self.pause().await;
        result
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        let result = self.up_for_write().await?.purge_project(project_id).await;
        self.pause().await;
        result
    }
}

/// Is open until it is shut.
#[derive(Debug)]
pub(crate) struct Gate {
    shut: AtomicBool,
    arrived: AtomicUsize,
    released: Semaphore,
}

impl Gate {
    pub(crate) fn shut(&self) {
        self.shut.store(true, SeqCst);
    }

    /// Opens the gate for new calls, not for those that wait.
    pub(crate) fn open(&self) {
        self.shut.store(false, SeqCst);
    }

    /// Lets this many of the waiting calls pass.
    pub(crate) fn release(&self, count: usize) {
        self.released.add_permits(count);
    }

    /// Waits until this many calls have arrived while the gate was shut.
    pub(crate) async fn arrived(&self, count: usize) {
        crate::until(|| self.arrived.load(SeqCst) >= count).await;
    }

    async fn pass(&self) {
        if self.shut.load(SeqCst) {
            self.arrived.fetch_add(1, SeqCst);
            self.released.acquire().await.unwrap().forget();
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            shut: AtomicBool::default(),
            arrived: AtomicUsize::default(),
            released: Semaphore::new(0),
        }
    }
}
