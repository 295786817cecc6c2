//! Lookups by access key from memory, over any backend.

mod builder;
mod error;
mod following;
mod lookup;
mod memory;
mod name;
mod stats;
mod vouched;
mod writes;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tracing::Instrument as _;

use self::lookup::Inner;
use self::memory::{Memory, Settings};
use self::stats::Counts;
use self::writes::Place;

use super::{BackendError, ChangeFeed, CredentialBackend, KeySource, Known, ListQuery, Page};
use crate::{
    clock::Clock,
    domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version},
};

pub use self::{builder::CachedBuilder, stats::CacheStats};

/// Remembers what a backend said about access keys, so that a verifier need not ask
/// it for every request.
///
/// Write through it and look keys up through it, and a write takes effect on the
/// next lookup: no answer that was asked for before the write was done is served
/// after it, whatever races with what. A write that was made elsewhere, by another
/// process or past this cache, takes effect within the
/// [`ttl`](CachedBuilder::ttl), 10 seconds unless set. Nothing is served that is
/// older, also in an outage, unless a feed says that it did not change; failures are not
/// remembered.
///
/// * Only [`find_by_access_key`](CredentialBackend::find_by_access_key) is answered
///   from memory. [`get`](CredentialBackend::get),
///   [`find_by_slot`](CredentialBackend::find_by_slot) and
///   [`list`](CredentialBackend::list) ask the backend each time.
/// * However many look up one key at once, the backend is asked once.
/// * A record that is looked up in the last quarter of its time is asked for anew in
///   the background, so that nobody waits for a key in use; that lookup allocates.
/// * Access keys that do not exist have a room of their own, of a fixed size:
///   lookups of made-up keys push no record out.
/// * A feed of the store's changes can be [followed](Self::follow): then a write that
///   was made elsewhere takes effect within a second.
/// * After the clock was put back, what seems to come from the future is asked for
///   anew; no answer outlives its time by more than the step.
/// * A write goes on when its caller goes away, and counts when it is done. If the
///   backend panics, the call is [`Unavailable`](BackendError::Unavailable).
///
/// A record that is not valid any more is forgotten when it is asked for again, when
/// its room is needed, or by [`staleness`](Self::staleness). If another process
/// gives a key to another user and this one purges that user, it is served
/// until its time is over: to this cache it was not theirs.
///
/// A clone is another handle to the same memory and the same backend. Calls must be
/// made within a tokio runtime with time enabled, but for [`known`](KeySource::known). A
/// question that the backend does not answer within ten seconds has failed.
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
    /// What it has done since it was made, and how much it holds.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.0.counts.stats(self.0.memory.sizes())
    }

    /// How long ago a change may have been made elsewhere that a lookup would miss now;
    /// zero if nothing is remembered.
    ///
    /// That is the age of the oldest answer that a lookup could be given from memory, and
    /// where a feed vouches for it, how long ago the feed last said that it is complete.
    /// Looks at everything that is remembered, and forgets what would not be served.
    /// Lookups of a part of the keys wait meanwhile, one part after the other: some
    /// milliseconds in all for 100,000 records.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        self.0.memory.sweep(self.0.clock.now())
    }

    /// The bound on that while no feed is followed, or the one that is is broken: within it
    /// a write made elsewhere takes effect. While a feed is followed, that is when it tells;
    /// for a write that no feed tells of, it is
    /// [`followed_ttl`](CachedBuilder::followed_ttl).
    #[must_use]
    pub fn max_staleness(&self) -> Duration {
        self.0.settings.ttl
    }

    /// How long ago the feed that is followed last said that it is complete: what was
    /// changed elsewhere before that is felt. `None` if none is followed, or the one that is
    /// has said nothing for a second, or is broken.
    #[must_use]
    pub fn feed_lag(&self) -> Option<Duration> {
        self.0.memory.lag(self.0.clock.now())
    }

    fn with(backend: B, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            backend,
            settings,
            clock,
            memory: Memory::new(settings),
            flights: Arc::default(),
            counts: Counts::default(),
            warned_at: AtomicU64::default(),
        }))
    }
}

impl<B: CredentialBackend> Cached<B> {
    /// Follows a feed of the changes in the store, until the last handle is dropped.
    ///
    /// What it tells of is forgotten. So a write that was made elsewhere takes effect as
    /// soon as the feed tells, within a second in any case, and what was not written is
    /// remembered for longer: see [`followed_ttl`](CachedBuilder::followed_ttl). While the
    /// feed is broken or silent the [`ttl`](CachedBuilder::ttl) holds again at once, a
    /// warning says so, and it is tried again. When it is back all that was remembered is
    /// asked for anew, so that what changed meanwhile is felt; a feed that keeps breaking is
    /// tried every few seconds.
    ///
    /// Returns at once: [`feed_lag`](Self::feed_lag) tells when the feed is up. One feed is
    /// enough: of two, each would vouch for what only the other tells.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn follow(&self, feed: impl ChangeFeed) {
        let following = following::follow(Arc::downgrade(&self.0), feed);
        tokio::spawn(following.in_current_span());
    }

    /// Writes in a task of its own, which ends also if nobody waits for it, and counts
    /// the write in these places before it is answered.
    async fn write<T, F>(
        &self,
        places: Vec<Place>,
        write: impl FnOnce(Arc<Inner<B>>) -> F,
    ) -> Result<T, BackendError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        let under_way = self.0.memory.writes.under_way(places);
        let writing = write(Arc::clone(&self.0));
        let task = async move {
            let result = writing.await;
            drop(under_way);
            result
        };
        tokio::spawn(task.in_current_span()).await.unwrap_or_else(|error| {
            // Not the error itself, which repeats what the backend panicked with.
            tracing::error!(panicked = error.is_panic(), "a write was given up");
            Err(error::given_up())
        })
    }

    /// Where a write of this record counts: an update may give it a new access key,
    /// which was absent or another's. Whoever has it under an old one knows its id.
    fn places_of(&self, credential: &Credential) -> Vec<Place> {
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
        let (places, credential) = (self.places_of(credential), Arc::clone(credential));
        self.write(places, |inner| async move { inner.backend.insert(&credential, quota).await })
            .await
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.backend.get(id).await
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
        let (places, credential) = (self.places_of(credential), Arc::clone(credential));
        self.write(places, |inner| async move { inner.backend.update(&credential, expected).await })
            .await
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let (places, id) = (vec![self.0.memory.writes.record(id)], id.clone());
        self.write(places, |inner| async move { inner.backend.delete(&id, expected).await }).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        let (places, user_id) = (vec![self.0.memory.writes.user(user_id)], user_id.clone());
        self.write(places, |inner| async move { inner.backend.purge_user(&user_id).await }).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        let (places, project_id) =
            (vec![self.0.memory.writes.project(project_id)], project_id.clone());
        self.write(places, |inner| async move { inner.backend.purge_project(&project_id).await })
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
