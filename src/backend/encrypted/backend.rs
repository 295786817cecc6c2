//! The backend: one method for each operation on the store.

use std::{cmp::Ordering, collections::HashMap, fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;

use crate::backend::{
    BackendError, CredentialBackend, ListQuery, OpenError, Order, Page,
    contract::{BulkLoad, ChangeFeed, Changes, Loaded},
    id_marker,
};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};
use crate::usage::{UsageError, UsageLog};

use super::error::Unreadable;
use super::open::{self, Plain};
use super::register::{self, ID, OWNER};
use super::ring::KeyProvider;
use super::sealer::{self, Sealer};
use super::witness::Witness;

/// Seals secrets before a backend stores them, and opens them when they are read.
///
/// See the [module](super) for what it protects from, and for how to change the key.
///
/// A record that was altered, or whose key is not in the ring, returns
/// [`Corrupt`](BackendError::Corrupt), and so does a page with such a record. Each write also
/// reads the register of keys in use; concurrent writes share that read. If the register is
/// gone, a write returns [`Unavailable`](BackendError::Unavailable): its outcome is unknown.
///
/// A clone is another handle to the same backend.
///
/// # Example
///
/// ```
/// use tower_credentials::backend::{
///     encrypted::{Encrypted, KeyRing},
///     memory::MemoryBackend,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Once: write this line into a file that only the service may read.
/// let line = KeyRing::generate_key("2026-11")?;
/// // Then, at each start, `KeyRing::from_file`.
/// let ring = KeyRing::parse(line.expose())?;
///
/// let backend = Encrypted::open(MemoryBackend::default(), ring).await?;
/// assert_eq!(backend.keys_in_use().await?, ["2026-11"]);
/// # Ok(())
/// # }
/// ```
pub struct Encrypted<B>(pub(super) Arc<Inner<B>>);

pub(super) struct Inner<B> {
    pub(super) backend: B,
    pub(super) sealer: Sealer,
    pub(super) witness: Witness,
}

impl<B: CredentialBackend> Encrypted<B> {
    /// Opens a store whose records are all sealed, or an empty one.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose [`kind`](OpenError::kind) distinguishes a ring that lacks a key
    /// from a store with plain records. The message names the missing keys.
    pub async fn open(backend: B, keys: impl KeyProvider) -> Result<Self, OpenError> {
        Self::settled(backend, keys, Plain::Refuse).await
    }

    /// Opens a store that may have plain records, to seal them with
    /// [`reseal`](Self::reseal). A store without plain records is opened as by
    /// [`open`](Self::open).
    ///
    /// **Until every record is sealed, plain records are accepted**, whichever program wrote
    /// them. This handle stops accepting them after its own [`reseal`](Self::reseal), or with
    /// its next write after another process finished one.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), except the error for plain records.
    pub async fn adopt(backend: B, keys: impl KeyProvider) -> Result<Self, OpenError> {
        Self::settled(backend, keys, Plain::Adopt).await
    }

    async fn settled(backend: B, keys: impl KeyProvider, plain: Plain) -> Result<Self, OpenError> {
        let sealer = Sealer::new(&keys.key_ring().await?);
        let witness = Witness::new(&open::settle(&backend, &sealer, plain).await?);
        Ok(Self(Arc::new(Inner { backend, sealer, witness })))
    }

    /// Returns whether plain records are accepted now.
    #[must_use]
    pub fn accepts_plain(&self) -> bool {
        self.0.witness.admits_plain()
    }
}

impl<B: CredentialBackend> Inner<B> {
    pub(super) fn opened(&self, record: Arc<Credential>) -> Result<Arc<Credential>, BackendError> {
        if self.is_accepted_as_it_is(&record) {
            return Ok(record);
        }
        self.sealer.open(record).map_err(Unreadable::into_backend_error)
    }

    fn is_accepted_as_it_is(&self, record: &Credential) -> bool {
        self.witness.admits_plain() && !sealer::is_sealed(record)
    }

    fn opened_if_any(
        &self,
        record: Option<Arc<Credential>>,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        record.filter(|record| record.id.as_str() != ID).map(|it| self.opened(it)).transpose()
    }

    async fn before_write(&self, credential: &Credential) -> Result<(), BackendError> {
        if register::is_reserved(credential) {
            return Err(BackendError::AlreadyExists);
        }
        self.witness.before(&self.backend, &self.sealer).await
    }

    async fn after_write(&self) -> Result<(), BackendError> {
        self.witness.look(&self.backend, &self.sealer).await
    }
}

#[async_trait]
impl<B: CredentialBackend> CredentialBackend for Encrypted<B> {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        self.0.before_write(credential).await?;
        self.0.backend.insert(&self.0.sealer.seal(credential), quota).await?;
        self.0.after_write().await
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.opened_if_any(self.0.backend.get(id).await?)
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.opened_if_any(self.0.backend.find_by_access_key(access_key).await?)
    }

    async fn get_latest(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.opened_if_any(self.0.backend.get_latest(id).await?)
    }

    async fn find_latest_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.opened_if_any(self.0.backend.find_latest_by_access_key(access_key).await?)
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.opened_if_any(self.0.backend.find_by_slot(user_id, slot).await?)
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.0.list(query).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        if credential.id.as_str() == ID {
            return Ok(false);
        }
        self.0.before_write(credential).await?;
        let done = self.0.backend.update(&self.0.sealer.seal(credential), expected).await?;
        if done {
            self.0.after_write().await?;
        }
        Ok(done)
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        if retired.id.as_str() == ID {
            return Ok(false);
        }
        self.0.before_write(credential).await?;
        self.0.before_write(retired).await?;
        let (new, retired) = (self.0.sealer.seal(credential), self.0.sealer.seal(retired));
        let done = self.0.backend.rotate(&new, quota, &retired, expected).await?;
        if done {
            self.0.after_write().await?;
        }
        Ok(done)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        if id.as_str() == ID {
            return Ok(false);
        }
        self.0.backend.delete(id, expected).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        if user_id.as_str() == OWNER {
            return Ok(0);
        }
        self.0.backend.purge_user(user_id).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.0.backend.purge_project(project_id).await
    }
}

impl<B> Clone for Encrypted<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: fmt::Debug> fmt::Debug for Encrypted<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted")
            .field("backend", &self.0.backend)
            .field("sealer", &self.0.sealer)
            .finish_non_exhaustive()
    }
}

impl<B: CredentialBackend> Inner<B> {
    /// Returns a page of opened records, without the register.
    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        if query.user_id.as_ref().is_some_and(|user| user.as_str() == OWNER) {
            return Ok(Page::default());
        }
        if !may_show_register(query) {
            return self.page(query).await;
        }
        // The range contains the register: first the records before it, then those after it.
        let (marker, mut before) = (id_marker(ID), query.clone());
        before.before = Some(marker.clone());
        let mut page = self.page(&before).await?;
        if page.next.is_some() {
            return Ok(page);
        }
        let mut behind = query.clone();
        behind.after = Some(marker);
        let Some(last) = page.credentials.last() else { return self.page(&behind).await };
        let following = self.backend.list(&behind.with_limit(1)).await?;
        if !following.credentials.is_empty() || following.next.is_some() {
            page.next = query.order.marker(last);
        }
        Ok(page)
    }

    /// Returns a page of a range without the register. Sealed texts are longer than their
    /// content, so a page that is short for that reason is filled up.
    async fn page(&self, query: &ListQuery) -> Result<Page, BackendError> {
        let mut page = Page::default();
        let (mut rest, mut bytes) = (query.clone(), 0);
        loop {
            let more = self.backend.list(&rest).await?;
            page.next = more.next;
            let mut sealed = 0;
            for record in more.credentials {
                if query.is_full(page.credentials.len(), bytes) {
                    let last = page.credentials.last();
                    page.next = last.and_then(|last| query.order.marker(last));
                    return Ok(page);
                }
                sealed += record.size();
                let record = self.opened(record)?;
                bytes += record.size();
                page.credentials.push(record);
            }
            let is_short =
                sealed >= ListQuery::MAX_BYTES && !query.is_full(page.credentials.len(), bytes);
            if !is_short || page.next.is_none() {
                return Ok(page);
            }
            rest.after = page.next.take();
            rest = rest.with_limit(query.limit() - page.credentials.len());
        }
    }
}

/// Returns whether the query could match the register, which has no access key and no project.
fn may_show_register(query: &ListQuery) -> bool {
    let ListQuery { user_id, project_id, kind, order, after, before, .. } = query;
    let register = id_marker(ID);
    let none_or = |marker: &Option<String>, order: Ordering| {
        let marker = marker.as_deref().filter(|marker| !marker.is_empty());
        marker.is_none_or(|marker| marker.cmp(&register) == order)
    };
    *order == Order::Key
        && user_id.is_none()
        && project_id.is_none()
        && kind.as_ref().is_none_or(|kind| kind.as_str() == OWNER)
        && none_or(after, Ordering::Less)
        && none_or(before, Ordering::Greater)
}

/// Forwards the feed of the store below.
#[async_trait]
impl<B: ChangeFeed> ChangeFeed for Encrypted<B> {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        self.0.backend.subscribe().await
    }
}

/// Forwards the log of the store below. Times of use are not sealed.
#[async_trait]
impl<B: UsageLog> UsageLog for Encrypted<B> {
    async fn record(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        self.0.backend.record(uses).await
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        self.0.backend.last_used(ids).await
    }
}

#[async_trait]
impl<B: BulkLoad + CredentialBackend> BulkLoad for Encrypted<B> {
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
        let inner = &*self.0;
        inner.witness.before(&inner.backend, &inner.sealer).await?;
        let free = || records.iter().filter(|record| !register::is_reserved(record));
        // With repeatable seals, so that the store below recognizes most records that are
        // loaded again.
        let sealed: Vec<_> = free().map(|it| inner.sealer.seal_repeatably(it)).collect();
        let loaded = inner.backend.load(&sealed).await?;
        if loaded.contains(&Loaded::Stored) {
            inner.witness.look(&inner.backend, &inner.sealer).await?;
        }
        let mut loaded = loaded.into_iter();
        let mut outcomes = Vec::with_capacity(records.len());
        for record in records {
            let outcome = if register::is_reserved(record) { None } else { loaded.next() };
            outcomes.push(match outcome {
                // The same record may be stored, sealed with another key or nonce.
                Some(Loaded::Refused) if self.is_there(record).await? => Loaded::AlreadyThere,
                outcome => outcome.unwrap_or(Loaded::Refused),
            });
        }
        Ok(outcomes)
    }
}

impl<B: CredentialBackend> Encrypted<B> {
    /// Returns whether this very record is stored. A record that cannot be opened is not the
    /// same.
    async fn is_there(&self, record: &Arc<Credential>) -> Result<bool, BackendError> {
        match self.get_latest(&record.id).await {
            Ok(found) => Ok(found.is_some_and(|found| found == *record)),
            Err(BackendError::Corrupt(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
