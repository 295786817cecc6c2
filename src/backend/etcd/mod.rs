//! Credentials in etcd.

mod builder;
mod change;
mod client;
mod discard;
mod error;
mod feed;
mod http;
mod insert;
mod keys;
mod lanes;
mod list;
mod load;
mod login;
mod members;
mod purge;
mod read;
mod record;
mod recount;
mod size;
mod tally;
mod walk;
mod wire;
mod write;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::timeout;

use self::client::Client;
use self::error::Trouble;
use self::keys::{Keys, Owner};
use self::lanes::Lanes;
use self::size::Room;
use self::walk::Widths;

use super::{
    BackendError, BulkLoad, ChangeFeed, Changes, CredentialBackend, ListQuery, Loaded, OpenError,
    Page,
};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};

pub use self::builder::EtcdBuilder;
pub use self::recount::Recount;

/// For how much longer than one call something is waited for that takes several: the error
/// of a call tells more.
const GRACE: Duration = Duration::from_millis(100);

/// Keeps credentials in etcd, over its JSON gateway.
///
/// The store for sites that run an etcd cluster: any number of processes share it, and it
/// goes on while most of its members do. It needs etcd 3.4 or later.
///
/// A write is answered when most members have it on their disks; reads see every write
/// that was answered before. Each write is one transaction, with the checks of uniqueness
/// and quota in it. While a member does not answer, others are asked; when none does, or
/// there is no leader, calls are [`Unavailable`](BackendError::Unavailable) after the
/// time-out, and go on by themselves when that is over. An update or delete whose answer
/// was lost, and of which nobody can tell any more whether it was done, is
/// [`Unavailable`](BackendError::Unavailable) too.
///
/// A purge deletes some records at a time, each whole; so does a
/// [load](BulkLoad::load).
///
/// # Room
///
/// etcd keeps the keys in memory and all that was ever written on the disk until it is
/// told to forget. Run it with `--auto-compaction-mode=periodic
/// --auto-compaction-retention=5m --snapshot-count=10000`, and with
/// `--quota-backend-bytes` up to 8 GiB for many records: one takes about 2 KiB of each
/// member's disk, in seven or eight keys, and some KiB of its memory. When etcd's database has
/// reached [`max_size`](EtcdBuilder::max_size), inserts and loads are
/// [`Unavailable`](BackendError::Unavailable) with a cause that says so, and all else goes
/// on. Deleting alone gives no room: compact, then defragment.
///
/// One record with all that leads to it must fit a request, which etcd bounds at 1.5 MiB
/// by default; a longer one is [`Unstorable`](BackendError::Unstorable) before anything is
/// sent, or when etcd says so if it takes less.
///
/// It keeps no [log of uses](crate::usage): each would be a write that all members agree on.
///
/// **etcd holds secrets in plain text**, since signatures are checked with them: who may
/// read the prefix has them all, and so has who finds a snapshot.
///
/// Calls need a tokio runtime with time and I/O enabled. A clone is another handle to the
/// same connections.
///
/// # Example
///
/// ```no_run
/// use tower_credentials::backend::{CredentialBackend, etcd::EtcdBackend};
/// use tower_credentials::domain::AccessKey;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "etcds://amy:a-password@one:2379,two:2379,three:2379";
/// let backend = EtcdBackend::connect(url).await?;
/// let unknown = AccessKey::from_stored("nobody's");
/// assert!(backend.find_by_access_key(&unknown).await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EtcdBackend {
    store: Arc<Store>,
}

/// What all handles share.
struct Store {
    client: Client,
    keys: Keys,
    lanes: Lanes,
    room: Room,
    widths: Widths,
}

impl EtcdBackend {
    /// Opens the store that a URL names; makes it if there is none.
    ///
    /// `etcd://[user:password@]host:port,host:port[/prefix]`, or `etcds://` for TLS. A
    /// port that is left out is 2379. With TLS the query `?cacert=FILE&cert=FILE&key=FILE` names
    /// files in PEM: the authorities to trust instead of the system's, and the certificate to
    /// show to members that ask for one, with its key, which must be its owner's alone.
    /// They are read at once, which blocks.
    ///
    /// # Errors
    ///
    /// As those of [`EtcdBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        EtcdBuilder::of_url(url)?.connect().await
    }

    /// Starts to set a store up, from a URL as [`connect`](Self::connect) takes it.
    ///
    /// # Errors
    ///
    /// [`OpenError`] of kind [`InvalidSetting`](super::OpenErrorKind::InvalidSetting) if it is none, or a file that
    /// it names is of no use.
    pub fn from_url(url: &str) -> Result<EtcdBuilder, OpenError> {
        EtcdBuilder::of_url(url)
    }

    /// Starts to set a store up on these endpoints of one cluster, such as
    /// `https://one:2379`.
    pub fn builder<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> EtcdBuilder {
        EtcdBuilder::new(endpoints.into_iter().map(Into::into).collect())
    }

    /// Counts the records of every user and sets the counters right that quotas go by.
    ///
    /// Can be done while others write. Nothing that this crate does makes a counter wrong;
    /// other programs that write below the prefix may.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    pub async fn recount(&self) -> Result<Recount, BackendError> {
        recount::recount(&self.store, true).await
    }

    /// The same, but leaves wrong counters as they are.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    pub async fn check_counters(&self) -> Result<Recount, BackendError> {
        recount::recount(&self.store, false).await
    }

    /// Deletes the record with this id at whatever version, also one that cannot be read;
    /// `false` if there is none.
    ///
    /// Of one that cannot be read nothing tells what leads to it, so all keys are gone
    /// through: that takes some seconds for each hundred thousand records.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    pub async fn discard(&self, id: &CredentialId) -> Result<bool, BackendError> {
        discard::discard(&self.store, id).await
    }

    /// What takes several calls, or waits for others', takes no longer than one may.
    async fn in_time<T>(
        &self,
        future: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let limit = self.store.client.timeout() + GRACE;
        timeout(limit, future).await.unwrap_or_else(|_| Err(Trouble::timed_out().into()))
    }

    /// As a task of its own, which goes on when who asked goes away.
    async fn purge(&self, owner: Owner) -> Result<u64, BackendError> {
        let purge = tokio::spawn(purge::purge(Arc::clone(&self.store), owner));
        purge.await.unwrap_or_else(|_| Err(Trouble::unexpected("the purge was given up").into()))
    }
}

#[async_trait]
impl CredentialBackend for EtcdBackend {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        self.in_time(insert::insert(&self.store, credential, quota)).await
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        let found = self.in_time(read::record(&self.store, id)).await?;
        Ok(found.map(|found| found.credential))
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.in_time(read::by_access_key(&self.store, access_key)).await
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.in_time(read::by_slot(&self.store, user_id, slot)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.in_time(list::list(&self.store, query)).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        self.in_time(change::update(&self.store, credential, expected)).await
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        self.in_time(change::delete(&self.store, id, expected)).await
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
