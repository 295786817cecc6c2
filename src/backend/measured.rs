//! Times the calls of any backend. [`Measured`] wraps a store below a cache.

use std::{collections::HashMap, fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use metrics::{Gauge, Histogram, gauge, histogram};

use crate::backend::{
    BackendError, CredentialBackend, ListQuery, Page,
    contract::{BulkLoad, ChangeFeed, Changes, Loaded},
};
use crate::clock::Stopwatch;
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};
use crate::meter::names;
use crate::usage::{UsageError, UsageLog};

/// Times the calls of a backend, and counts those that have not returned.
///
/// Each call records `tower_credentials_store_operation_duration_seconds`, with the labels `store`,
/// `operation` (the name of the method) and `outcome`:
///
/// | outcome | result |
/// |---|---|
/// | `ok` | `Ok`, also if there was no such record or version |
/// | `refused` | [`AlreadyExists`](BackendError::AlreadyExists), [`QuotaExceeded`](BackendError::QuotaExceeded), [`Rejected`](BackendError::Rejected), [`Unstorable`](BackendError::Unstorable) |
/// | `failed` | [`Unavailable`](BackendError::Unavailable), [`Corrupt`](BackendError::Corrupt) |
/// | `cancelled` | the caller dropped the future, such as after a timeout |
///
/// Wrap the store itself, and put `Cached` around the wrapper: lookups that the cache answers do
/// not reach the store. The change feed, bulk loads and the log of uses are forwarded without
/// being measured.
///
/// Changes nothing else: every method of the wrapped backend gets the same call.
#[derive(Clone)]
pub struct Measured<B> {
    backend: B,
    handles: Arc<Handles>,
}

struct Handles {
    in_flight: Gauge,
    durations: [[Histogram; OUTCOMES.len()]; OPERATIONS.len()],
}

/// The labels `operation`, in the order of [`Operation`].
const OPERATIONS: [&str; 12] = [
    "insert",
    "get",
    "find_by_access_key",
    "get_latest",
    "find_latest_by_access_key",
    "find_by_slot",
    "list",
    "update",
    "rotate",
    "delete",
    "purge_user",
    "purge_project",
];

/// The labels `outcome`. The last one is that of a dropped future.
const OUTCOMES: [&str; 4] = ["ok", "refused", "failed", "cancelled"];

#[derive(Clone, Copy)]
enum Operation {
    Insert,
    Get,
    FindByAccessKey,
    GetLatest,
    FindLatestByAccessKey,
    FindBySlot,
    List,
    Update,
    Rotate,
    Delete,
    PurgeUser,
    PurgeProject,
}

impl<B> Measured<B> {
    /// Wraps a backend. `store` is the label: the kind of store, such as
    /// [`Store::engine`](super::Store::engine).
    pub fn new(backend: B, store: &'static str) -> Self {
        let duration = |operation: &'static str, outcome: &'static str| {
            histogram!(
                names::STORE_DURATION,
                "store" => store, "operation" => operation, "outcome" => outcome
            )
        };
        let durations = OPERATIONS.map(|operation| OUTCOMES.map(|it| duration(operation, it)));
        let in_flight = gauge!(names::STORE_IN_FLIGHT, "store" => store);
        Self { backend, handles: Arc::new(Handles { in_flight, durations }) }
    }

    async fn measure<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        let mut running = Running::start(&self.handles, operation);
        let result = call.await;
        running.outcome = outcome_of(&result);
        result
    }
}

/// A call that has not returned. Dropping it records it.
struct Running<'a> {
    handles: &'a Handles,
    operation: Operation,
    outcome: usize,
    stopwatch: Stopwatch,
}

impl<'a> Running<'a> {
    fn start(handles: &'a Handles, operation: Operation) -> Self {
        handles.in_flight.increment(1.0);
        let cancelled = OUTCOMES.len() - 1;
        Self { handles, operation, outcome: cancelled, stopwatch: Stopwatch::start() }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let durations = &self.handles.durations[self.operation as usize];
        durations[self.outcome].record(self.stopwatch.elapsed());
        self.handles.in_flight.decrement(1.0);
    }
}

/// Returns the index of the label.
fn outcome_of<T>(result: &Result<T, BackendError>) -> usize {
    match result {
        Ok(_) => 0,
        Err(
            BackendError::AlreadyExists
            | BackendError::QuotaExceeded
            | BackendError::Rejected(_)
            | BackendError::Unstorable(_),
        ) => 1,
        Err(BackendError::Corrupt(_) | BackendError::Unavailable(_)) => 2,
    }
}

#[async_trait]
impl<B: CredentialBackend> CredentialBackend for Measured<B> {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        self.measure(Operation::Insert, self.backend.insert(credential, quota)).await
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.measure(Operation::Get, self.backend.get(id)).await
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        let call = self.backend.find_by_access_key(access_key);
        self.measure(Operation::FindByAccessKey, call).await
    }

    async fn get_latest(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.measure(Operation::GetLatest, self.backend.get_latest(id)).await
    }

    async fn find_latest_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        let call = self.backend.find_latest_by_access_key(access_key);
        self.measure(Operation::FindLatestByAccessKey, call).await
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.measure(Operation::FindBySlot, self.backend.find_by_slot(user_id, slot)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.measure(Operation::List, self.backend.list(query)).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        self.measure(Operation::Update, self.backend.update(credential, expected)).await
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let call = self.backend.rotate(credential, quota, retired, expected);
        self.measure(Operation::Rotate, call).await
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        self.measure(Operation::Delete, self.backend.delete(id, expected)).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        self.measure(Operation::PurgeUser, self.backend.purge_user(user_id)).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.measure(Operation::PurgeProject, self.backend.purge_project(project_id)).await
    }
}

#[async_trait]
impl<B: ChangeFeed> ChangeFeed for Measured<B> {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        self.backend.subscribe().await
    }
}

#[async_trait]
impl<B: BulkLoad> BulkLoad for Measured<B> {
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
        self.backend.load(records).await
    }
}

#[async_trait]
impl<B: UsageLog> UsageLog for Measured<B> {
    async fn record(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        self.backend.record(uses).await
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        self.backend.last_used(ids).await
    }
}

impl<B: fmt::Debug> fmt::Debug for Measured<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").field("backend", &self.backend).finish_non_exhaustive()
    }
}
