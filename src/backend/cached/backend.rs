//! The backend: one method for each operation on the store.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tracing::Instrument as _;

use crate::backend::{
    BackendError, CredentialBackend, KeySource, Known, ListQuery, Page, contract::ChangeFeed,
};
use crate::clock::Clock;
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};

use super::lookup::Inner;
use super::memory::Settings;
use super::stats::CacheStats;
use super::writes::Partition;
use super::{error, following};

/// Looks up records in memory, by access key and by id, so that a verifier does not ask the
/// backend for every request.
///
/// # When writes take effect
///
/// * Writes through the same `Cached` take effect on the next lookup. A lookup never returns
///   an answer that was requested before a write was done.
/// * Writes of other processes, or past this cache, take effect within the
///   [`ttl`](super::CachedBuilder::ttl): 10 seconds by default. If the cache
///   [follows](Self::follow) a change feed, they take effect within a second.
/// * Older answers are not served, not even during an outage, unless a feed reports that the
///   record did not change. Errors are not cached.
///
/// # Lookups
///
/// * [`find_by_access_key`](CredentialBackend::find_by_access_key) and
///   [`get`](CredentialBackend::get) are answered from memory, from the same entry.
///   [`get_latest`](CredentialBackend::get_latest),
///   [`find_latest_by_access_key`](CredentialBackend::find_latest_by_access_key),
///   [`find_by_slot`](CredentialBackend::find_by_slot) and [`list`](CredentialBackend::list) ask
///   the backend each time, and so does `get` for an id that does not exist.
/// * Concurrent lookups of one key ask the backend once. A call that the backend does not
///   answer within ten seconds fails.
/// * A lookup in the last quarter of a record's time refreshes the record in the background,
///   so that no request waits for a key in use. That lookup allocates. Records without an access
///   key are not refreshed.
/// * A thread copies the records that it looks up repeatedly by access key, at most 2,048, so that
///   threads do not wait for each other. A lookup that copies a record allocates. A copy is used
///   for a tenth of a second, then confirmed. A write through this `Cached` ends it at once, and so
///   does a change that a feed reports, or a different answer in memory. If the record was evicted,
///   or is looked up by id at the same time, a lookup by access key may return an older answer than
///   another lookup did, for a tenth of a second.
/// * Access keys that do not exist have a capacity of their own: lookups of invented keys
///   never evict a record.
/// * If the clock is set back, answers from the future are requested again. No answer lives
///   longer than its time and the step of the clock.
///
/// A stale record leaves the memory when it is looked up again, when its room is needed, or
/// with [`staleness`](Self::staleness). So does a thread's copy, when that thread looks it up. If
/// another process gives a key to another user and this process then purges that user, the key is
/// served until its time is over: this cache does not know the new owner.
///
/// # Writes
///
/// A write continues if its caller drops the future, and takes effect when it is done. If the
/// backend panics, the call returns [`Unavailable`](BackendError::Unavailable).
///
/// A clone is another handle to the same memory and backend. Calls need a tokio runtime with
/// time enabled, except [`known`](KeySource::known).
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// use tower_credentials::{
///     CredentialLayer,
///     auth::StaticTokens,
///     backend::{KeySource, cached::Cached, memory::MemoryBackend},
///     domain::AccessKey,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let backend = MemoryBackend::default();
/// let keys = Cached::builder(backend).ttl(Duration::from_secs(5)).build();
/// // The layer writes through the same cache that a verifier reads through.
/// let layer = CredentialLayer::new(StaticTokens::new(), keys.clone());
///
/// let unknown = AccessKey::from_stored("nobody's");
/// assert!(keys.find(&unknown).await?.is_none());
/// # Ok(())
/// # }
/// ```
pub struct Cached<B>(Arc<Inner<B>>);

impl<B> Cached<B> {
    /// Returns the metrics of the cache.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.0.counts.stats(self.0.memory.sizes(), self.0.memory.evictions())
    }

    /// Returns the age of the oldest change by others that a lookup could miss now; zero if
    /// the cache is empty.
    ///
    /// Without a feed this is the age of the oldest answer in memory; with a feed, the time
    /// since its last complete notice. Scans all entries and evicts those that cannot be
    /// served. Lookups wait for one shard at a time: some milliseconds in total for 100,000
    /// records.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        self.0.memory.sweep(self.0.clock.now())
    }

    /// Returns the maximum age of an entry when no change feed is connected: the
    /// [`ttl`](super::CachedBuilder::ttl).
    ///
    /// With a connected feed, the maximum age is
    /// [`followed_ttl`](super::CachedBuilder::followed_ttl).
    #[must_use]
    pub fn max_staleness(&self) -> Duration {
        self.0.settings.ttl
    }

    /// Returns the time since the last complete notice of the followed feed: earlier changes
    /// by others have taken effect. `None` if no feed is followed, or if the feed is broken or
    /// has been silent for a second.
    #[must_use]
    pub fn feed_lag(&self) -> Option<Duration> {
        self.0.memory.lag(self.0.clock.now())
    }

    pub(super) fn with(backend: B, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner::new(backend, settings, clock)))
    }
}

impl<B: CredentialBackend> Cached<B> {
    /// Follows a feed of the store's changes, until the last handle is dropped.
    ///
    /// Changed records are evicted, so that writes of others take effect when the feed reports
    /// them, within a second. Unchanged records are served for longer: see
    /// [`followed_ttl`](super::CachedBuilder::followed_ttl).
    ///
    /// If the feed breaks or falls silent, the [`ttl`](super::CachedBuilder::ttl) applies again at
    /// once. The cache logs a warning and retries, at most every few seconds. After it
    /// reconnects, all entries are looked up again, since changes may have been missed.
    ///
    /// Returns at once; [`feed_lag`](Self::feed_lag) reports whether the feed is connected.
    /// Follow one feed only: each of two would vouch for changes that only the other reports.
    ///
    /// # Panics
    ///
    /// If called outside a tokio runtime.
    pub fn follow(&self, feed: impl ChangeFeed) {
        let following = following::follow(Arc::downgrade(&self.0), feed);
        tokio::spawn(following.in_current_span());
    }

    /// Writes in a task of its own, which continues if the caller drops the future. Counts the
    /// write in these partitions before the call returns.
    async fn write<T, F>(
        &self,
        partitions: Vec<Partition>,
        write: impl FnOnce(Arc<Inner<B>>) -> F,
    ) -> Result<T, BackendError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        let under_way = self.0.memory.writes.under_way(partitions);
        let writing = write(Arc::clone(&self.0));
        let task = async move {
            let result = writing.await;
            drop(under_way);
            result
        };
        tokio::spawn(task.in_current_span()).await.unwrap_or_else(|error| {
            // Without the error itself, which repeats the panic message of the backend.
            tracing::error!(panicked = error.is_panic(), "a write ended without a result");
            Err(error::given_up())
        })
    }

    /// The partitions of a write of this record. An update may give the record a new access
    /// key, which was absent or another record's. Entries under its old key contain its id.
    fn partitions_of(&self, credential: &Credential) -> Vec<Partition> {
        let writes = &self.0.memory.writes;
        let access_key = credential.access_key.as_ref().map(|key| writes.access_key(key));
        access_key.into_iter().chain([writes.record(&credential.id)]).collect()
    }
}

#[async_trait]
impl<B: CredentialBackend> KeySource for Cached<B> {
    fn known(&self, access_key: &str, now: SystemTime) -> Option<Known> {
        self.0.recall(access_key, now)
    }

    async fn find(&self, access_key: &AccessKey) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.find(access_key).await
    }
}

#[async_trait]
impl<B: CredentialBackend> CredentialBackend for Cached<B> {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        let (partitions, credential) = (self.partitions_of(credential), Arc::clone(credential));
        self.write(
            partitions,
            |inner| async move { inner.backend.insert(&credential, quota).await },
        )
        .await
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.get(id).await
    }

    async fn get_latest(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.backend.get_latest(id).await
    }

    async fn find_latest_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.backend.find_latest_by_access_key(access_key).await
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.find(access_key).await
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.backend.find_by_slot(user_id, slot).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.0.backend.list(query).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let (partitions, credential) = (self.partitions_of(credential), Arc::clone(credential));
        self.write(
            partitions,
            |inner| async move { inner.backend.update(&credential, expected).await },
        )
        .await
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let mut partitions = self.partitions_of(credential);
        partitions.extend(self.partitions_of(retired));
        let (credential, retired) = (Arc::clone(credential), Arc::clone(retired));
        self.write(partitions, |inner| async move {
            inner.backend.rotate(&credential, quota, &retired, expected).await
        })
        .await
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let (partitions, id) = (vec![self.0.memory.writes.record(id)], id.clone());
        self.write(partitions, |inner| async move { inner.backend.delete(&id, expected).await })
            .await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        let (partitions, user_id) = (vec![self.0.memory.writes.user(user_id)], user_id.clone());
        self.write(partitions, |inner| async move { inner.backend.purge_user(&user_id).await })
            .await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        let (partitions, project_id) =
            (vec![self.0.memory.writes.project(project_id)], project_id.clone());
        self.write(
            partitions,
            |inner| async move { inner.backend.purge_project(&project_id).await },
        )
        .await
    }
}

impl<B> Clone for Cached<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> fmt::Debug for Cached<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("settings", &self.0.settings)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
