//! Where credentials live.

use std::{error::Error as StdError, fmt, sync::Arc};

use async_trait::async_trait;

use crate::domain::{
    AccessKey, Credential, CredentialId, Kind, ProjectId, Quota, Slot, UserId, Version,
};

mod around;
mod bulk;
#[cfg(feature = "cache")]
#[cfg_attr(docsrs, doc(cfg(feature = "cache")))]
pub mod cached;
#[cfg(feature = "encryption")]
#[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
pub mod encrypted;
#[cfg(feature = "etcd")]
#[cfg_attr(docsrs, doc(cfg(feature = "etcd")))]
pub mod etcd;
mod feed;
#[cfg(any(feature = "memory", feature = "sqlite"))]
mod hub;
mod maintenance;
mod open_error;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod row;
mod source;
mod store;
mod url;

#[cfg(feature = "memory")]
#[cfg_attr(docsrs, doc(cfg(feature = "memory")))]
pub mod memory;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub mod postgres;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub mod sqlite;

#[cfg(feature = "s3")]
pub(crate) use self::source::look_up;
#[cfg(any(
    feature = "encryption",
    feature = "etcd",
    feature = "postgres",
    feature = "sqlite"
))]
pub use self::url::resolve_url;
pub use self::{
    around::{Damaged, Part, list_around},
    bulk::{BulkLoad, Loaded, MAX_LOAD},
    feed::{Change, ChangeFeed, Changes, Notice, PULSE},
    maintenance::{Maintenance, Recount, is_sealed},
    open_error::{OpenError, OpenErrorKind, OpenMode},
    source::{Direct, KeySource, Known},
    store::{Store, StoreBackend, StoreBuilder, open},
    url::{redact_arguments, redact_url},
};

/// Stores credentials on behalf of the layer.
///
/// # Contract
///
/// * **Writes are atomic and durable.** When a write returns `Ok` it survives a
///   crash, as far as the store keeps anything; when it returns an error it left
///   nothing behind, unless the error is [`BackendError::Unavailable`], after
///   which it may have happened or not. The same goes for a write whose future
///   is dropped: it happens whole or not at all, perhaps a little later.
/// * **Uniqueness.** Ids, access keys, and pairs of user and slot are unique in
///   the whole store. The check is one step with the write: of any number of
///   racing writers exactly one wins.
/// * **Quota.** [`insert`](Self::insert) counts the user's records and writes in
///   one step too; a full quota is reported before a duplicate.
/// * **Compare-and-set.** [`update`](Self::update) and [`delete`](Self::delete)
///   act only on the version they name.
/// * **Reads see every write that completed before they started**, and give the
///   record back exactly as it was written, times to the microsecond.
/// * **"Not there" is no error** but `None` or `false`.
/// * **Order is bytewise**, the same in every store; see [`ListQuery`]. So are
///   comparisons of ids, access keys and owners.
/// * **No clock, no randomness, no rules.** Times and versions come in the
///   record; who may do what is decided elsewhere.
/// * A clone or another [`Arc`] is another handle to the same data.
///
/// With the feature `conformance`, each clause is a test to run against your
/// own implementation: see [`conformance`](crate::conformance).
//
// Deliberately no default bodies: a convenient default that reads and then
// writes would compile for every backend and be wrong for most of them.
#[async_trait]
pub trait CredentialBackend: fmt::Debug + Send + Sync + 'static {
    /// Stores a credential that must not exist yet.
    ///
    /// # Errors
    ///
    /// [`BackendError::QuotaExceeded`] if the user already holds as many records
    /// as the quota admits; [`BackendError::AlreadyExists`] if the id, the access
    /// key, or the user's slot is taken, by anyone; [`BackendError::Unstorable`] if the
    /// store can hold no such record.
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError>;

    /// Reads one credential by its id.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError>;

    /// Reads one credential by its access key.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError>;

    /// Reads the credential in a user's slot.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError>;

    /// Reads a page of credentials, in order.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError>;

    /// Replaces the record with this credential's id, if it is still at the
    /// `expected` version; the new state carries its own version.
    ///
    /// Everything but the id may change, the owner too; quotas are not asked.
    /// `false` if there is no such record or it is at another version, even if the
    /// new state would not fit either.
    ///
    /// # Errors
    ///
    /// [`BackendError::AlreadyExists`] if another record has the new access key
    /// or slot; [`BackendError::Unstorable`] if the store can hold no such record.
    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError>;

    /// Deletes the record with this id, if it is still at the `expected` version.
    ///
    /// `false` if there is no such record or it is at another version.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError>;

    /// Deletes all records of a user that are there when it starts; returns how many.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError>;

    /// Deletes all records of a project that are there when it starts; returns how many.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError>;
}

/// Which credentials to list, in which order, from where on.
///
/// The filters narrow together. A store examines at most
/// [`MAX_EXAMINED`](Self::MAX_EXAMINED) records for one page, so a page may be
/// short, even empty, and still have a `next`. Only records between the markers
/// and of the query's user count, or of its project if it names no user: others'
/// records never make a page short. Nor does a page take a further record once those
/// in it hold [`MAX_BYTES`](Self::MAX_BYTES), so that nobody fills the memory with
/// records that are long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListQuery {
    /// Only this owner's.
    pub user_id: Option<UserId>,
    /// Only this project's.
    pub project_id: Option<ProjectId>,
    /// Only this type.
    pub kind: Option<Kind>,
    /// The order of the page and what its markers are.
    pub order: Order,
    /// Only records whose marker is greater; an empty marker is none.
    pub after: Option<String>,
    /// Only records whose marker is less; an empty marker is none.
    pub before: Option<String>,
    /// How many records at the most; at least 1, at most [`MAX_LIMIT`](Self::MAX_LIMIT).
    limit: usize,
}

impl ListQuery {
    /// The longest page.
    pub const MAX_LIMIT: usize = 1_000;

    /// How many bytes a page may hold before its last record, by [`Credential::size`].
    pub const MAX_BYTES: usize = 1 << 20;

    /// How many records a store examines for one page at the most.
    pub const MAX_EXAMINED: usize = 2_000;

    /// All records, in this order, from the start, with the longest page.
    #[must_use]
    pub fn new(order: Order) -> Self {
        Self {
            user_id: None,
            project_id: None,
            kind: None,
            order,
            after: None,
            before: None,
            limit: Self::MAX_LIMIT,
        }
    }

    /// Sets how many records at the most, brought into 1 to
    /// [`MAX_LIMIT`](Self::MAX_LIMIT).
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit.clamp(1, Self::MAX_LIMIT);
        self
    }

    /// How many records at the most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether a page of this many records and bytes takes no further one.
    #[must_use]
    pub fn is_full(&self, records: usize, bytes: usize) -> bool {
        records >= self.limit || bytes >= Self::MAX_BYTES
    }

    /// How many of these records, in this order, make a page.
    #[must_use]
    pub fn fitting(&self, records: &[Arc<Credential>]) -> usize {
        let mut bytes = 0;
        let fits = |(index, record): &(usize, &Arc<Credential>)| {
            let full = self.is_full(*index, bytes);
            bytes += record.size();
            !full
        };
        records.iter().enumerate().take_while(fits).count()
    }

    /// Whether a record passes the filters; markers are not looked at.
    #[must_use]
    pub fn admits(&self, credential: &Credential) -> bool {
        let Self { user_id, project_id, kind, .. } = self;
        user_id.as_ref().is_none_or(|id| *id == credential.user_id)
            && project_id.as_ref().is_none_or(|id| Some(id) == credential.project_id.as_ref())
            && kind.as_ref().is_none_or(|kind| *kind == credential.kind)
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// By access key; records without one are left out. Markers are access keys.
    AccessKey,
    /// By id. Markers are ids.
    Id,
}

impl Order {
    /// A record's marker in this order; `None` if it has no place in it.
    #[must_use]
    pub fn marker(self, credential: &Credential) -> Option<&str> {
        match self {
            Self::AccessKey => credential.access_key.as_ref().map(AccessKey::as_str),
            Self::Id => Some(credential.id.as_str()),
        }
    }
}

/// A page of credentials.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The records, in the order asked for.
    pub credentials: Vec<Arc<Credential>>,
    /// Where the next page starts (for [`ListQuery::after`]): behind the one it came
    /// from. `None` if and only if nothing that passes the query follows, as far as
    /// the bound on examined records let the store see.
    pub next: Option<String>,
}

/// Why a backend could not do what it was asked.
///
/// Every call may answer [`Corrupt`](Self::Corrupt) and
/// [`Unavailable`](Self::Unavailable).
#[derive(Debug)]
#[non_exhaustive]
pub enum BackendError {
    /// The id, the access key or the slot is taken.
    AlreadyExists,
    /// What is stored cannot be read; retrying does not help.
    Corrupt(Box<dyn StdError + Send + Sync>),
    /// Storing it would take the user over the quota.
    QuotaExceeded,
    /// The store could not be reached or gave up; retrying may help.
    Unavailable(Box<dyn StdError + Send + Sync>),
    /// The store cannot hold this record, since it or a name in it is too long there;
    /// nothing was written, and retrying does not help.
    Unstorable(Box<dyn StdError + Send + Sync>),
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyExists => "credential already exists",
            // The driver's own message is reachable through `source`.
            Self::Corrupt(_) => "stored credential cannot be read",
            Self::QuotaExceeded => "credential quota exceeded",
            Self::Unavailable(_) => "credential store unavailable",
            Self::Unstorable(_) => "credential cannot be stored",
        })
    }
}

impl StdError for BackendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::AlreadyExists | Self::QuotaExceeded => None,
            Self::Corrupt(source) | Self::Unavailable(source) | Self::Unstorable(source) => {
                Some(&**source)
            }
        }
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: CredentialBackend + ?Sized> CredentialBackend for $pointer<T> {
            async fn insert(
                &self,
                credential: &Arc<Credential>,
                quota: Quota,
            ) -> Result<(), BackendError> {
                (**self).insert(credential, quota).await
            }

            async fn get(
                &self,
                id: &CredentialId,
            ) -> Result<Option<Arc<Credential>>, BackendError> {
                (**self).get(id).await
            }

            async fn find_by_access_key(
                &self,
                access_key: &AccessKey,
            ) -> Result<Option<Arc<Credential>>, BackendError> {
                (**self).find_by_access_key(access_key).await
            }

            async fn find_by_slot(
                &self,
                user_id: &UserId,
                slot: Slot,
            ) -> Result<Option<Arc<Credential>>, BackendError> {
                (**self).find_by_slot(user_id, slot).await
            }

            async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
                (**self).list(query).await
            }

            async fn update(
                &self,
                credential: &Arc<Credential>,
                expected: Version,
            ) -> Result<bool, BackendError> {
                (**self).update(credential, expected).await
            }

            async fn delete(
                &self,
                id: &CredentialId,
                expected: Version,
            ) -> Result<bool, BackendError> {
                (**self).delete(id, expected).await
            }

            async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
                (**self).purge_user(user_id).await
            }

            async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
                (**self).purge_project(project_id).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
