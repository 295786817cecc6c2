//! The backend: one method for each operation on the store.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::timeout;

use crate::backend::{
    BackendError, CredentialBackend, ListQuery, Page,
    contract::{BulkLoad, ChangeFeed, Changes, Loaded, Maintenance, Recount},
};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};

use super::error::EtcdError;
use super::keys::Owner;
use super::rotate::Rotation;
use super::store::Store;
use super::upgrade;
use super::{change, feed, insert, load, maintenance, read};

/// How much longer than one call an operation of several calls may take, so that the error of
/// the call is returned instead of a timeout.
const GRACE: Duration = Duration::from_millis(100);

/// Stores credentials in etcd, over its JSON gateway. Requires etcd 3.4 or later.
///
/// Any number of processes may share a store. A clone is another handle to the same
/// connections. Calls need a tokio runtime with time and I/O enabled.
///
/// # Availability
///
/// A write returns when a majority of the members has it on disk. Reads see every write that
/// returned before. Each write is one transaction that also checks uniqueness and quota. If a
/// member does not answer, others are asked. If none answers, or the cluster has no leader,
/// calls return [`Unavailable`](BackendError::Unavailable) after the
/// [timeout](super::EtcdBuilder::timeout). They succeed again when the cluster recovers.
///
/// If the answer to an update, rotation or delete is lost and its outcome can no longer be
/// determined, it returns [`Unavailable`](BackendError::Unavailable) too. A purge and a
/// [bulk load](BulkLoad::load) write some records at a time, each record as a whole.
///
/// # Size
///
/// etcd keeps all keys in memory, and old revisions on disk until they are compacted. Run it
/// with `--auto-compaction-mode=periodic --auto-compaction-retention=5m
/// --snapshot-count=10000`, and with `--quota-backend-bytes` of up to 8 GiB for many records.
/// A record takes about 1.5 KiB of each member's disk, in four to six keys, and some KiB of
/// its memory. When the database reaches [`max_size`](super::EtcdBuilder::max_size), inserts
/// and loads return [`Unavailable`](BackendError::Unavailable) with a cause that says so; all
/// other calls work. Deleting records does not shrink the database: compact it, then
/// defragment.
///
/// A record with its index entries must fit one request, which etcd limits to 1.5 MiB by
/// default. A longer record is [`Unstorable`](BackendError::Unstorable).
///
/// etcd keeps no [usage log](crate::usage): each use would be a write that all members agree
/// on.
///
/// **etcd holds secrets in plain text**, because signatures are verified with them. Anyone who
/// can read the prefix, or a snapshot, has them all. The wrapper `Encrypted` seals them.
///
/// # Example
///
/// ```no_run
/// use tower_credentials::backend::{CredentialBackend, etcd::EtcdBackend};
/// use tower_credentials::domain::AccessKey;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "etcds://amy:a-password@one:2379,two:2379,three:2379";
/// let backend = EtcdBackend::open(url).await?;
/// let unknown = AccessKey::from_stored("unknown");
/// assert!(backend.find_by_access_key(&unknown).await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EtcdBackend {
    store: Arc<Store>,
}

impl EtcdBackend {
    pub(super) fn new(store: Store) -> Self {
        Self { store: Arc::new(store) }
    }

    /// Bounds an operation that takes several calls, or waits for others, to the time of one
    /// call.
    async fn with_timeout<T>(
        &self,
        future: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let limit = self.store.client.timeout() + GRACE;
        timeout(limit, future).await.unwrap_or_else(|_| Err(EtcdError::timed_out().into()))
    }

    /// Runs a purge as a task, which completes even if the caller is gone.
    async fn purge(&self, owner: Owner) -> Result<u64, BackendError> {
        let purge = tokio::spawn(maintenance::purge(Arc::clone(&self.store), owner));
        purge.await.unwrap_or_else(|_| Err(EtcdError::unexpected("the purge was aborted").into()))
    }
}

#[async_trait]
impl CredentialBackend for EtcdBackend {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        self.with_timeout(insert::insert(&self.store, credential, quota)).await
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        let found = self.with_timeout(read::record(&self.store, id)).await?;
        Ok(found.map(|found| found.credential))
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.with_timeout(read::by_access_key(&self.store, access_key)).await
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.with_timeout(read::by_slot(&self.store, user_id, slot)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.with_timeout(read::list(&self.store, query)).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        self.with_timeout(change::update(&self.store, credential, expected)).await
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let rotation = Rotation { credential, quota, retired, expected };
        self.with_timeout(rotation.write(&self.store)).await
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        self.with_timeout(change::delete(&self.store, id, expected)).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        self.purge(Owner::User(user_id.clone())).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.purge(Owner::Project(project_id.clone())).await
    }
}

#[async_trait]
impl BulkLoad for EtcdBackend {
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
        load::load(&self.store, records).await
    }
}

#[async_trait]
impl ChangeFeed for EtcdBackend {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        Ok(Box::new(feed::subscribe(&self.store).await?))
    }
}

impl fmt::Debug for EtcdBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdBackend").field("keys", &self.store.keys).finish_non_exhaustive()
    }
}

#[async_trait]
impl Maintenance for EtcdBackend {
    /// The index entries of a record that cannot be read are searched in the whole index. That
    /// takes some seconds per hundred thousand records.
    async fn discard(&self, id: &CredentialId) -> Result<bool, BackendError> {
        maintenance::discard(&self.store, id).await
    }

    async fn check_indexes(&self) -> Result<Vec<String>, BackendError> {
        upgrade::check_entries(&self.store).await
    }

    async fn repair_indexes(&self) -> Result<(), BackendError> {
        upgrade::rewrite_entries(&self.store).await
    }

    async fn check_counters(&self) -> Result<Option<Recount>, BackendError> {
        maintenance::recount(&self.store, false).await.map(Some)
    }

    async fn recount(&self) -> Result<Option<Recount>, BackendError> {
        maintenance::recount(&self.store, true).await.map(Some)
    }

    async fn disk_bytes(&self) -> Result<Option<u64>, BackendError> {
        Ok(None)
    }
}
