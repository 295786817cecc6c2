//! The backend: one method for each operation on the store.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use tokio_postgres::Row;

use crate::backend::row::version_number;
use crate::backend::{
    BackendError, CredentialBackend, ListQuery, Page, access_key_marker,
    contract::{BulkLoad, ChangeFeed, Changes, Loaded, Maintenance, Recount},
};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};
use crate::usage::{UsageError, UsageLog, whole_seconds};

use super::bulk::BulkLoader;
use super::connector::Connector;
use super::error::{CorruptRow, PostgresError};
use super::notify::Subscription;
use super::reads::{LIST_WEIGHT, Reads, text};
use super::rows::{escape, row_of, unescape};
use super::statements;
use super::write::{Rotation, Write, WriteResult};
use super::writer::Writer;

/// Stores credentials in a PostgreSQL database.
///
/// Any number of processes may use one store. The [contract](CredentialBackend#contract)
/// holds among all of them. A clone is another handle to the same connections. The
/// connections close when the last handle is dropped and all started writes are done.
///
/// The connections are run by tasks of the tokio runtime that the backend was opened in.
/// Calls fail after that runtime has ended.
///
/// # Writes
///
/// Concurrent writes are batched into one statement, or into one transaction where quotas
/// are checked. A batch takes one round trip. A write that has returned is durable, even if
/// the server is configured not to wait for its disk (`synchronous_commit = off`). A quota
/// is checked by counting the user's records while the user's row is locked. No counter is
/// stored, so none can be wrong.
///
/// A rotation is a transaction of its own and takes some round trips.
///
/// If a session is lost before the server answers, an insert or the new record of a rotation is
/// looked up by its version on a new session. Any other write, and one whose record is not
/// found, returns [`Unavailable`](BackendError::Unavailable); it may have taken effect. A write
/// whose future is dropped before its batch starts does not happen.
///
/// A write that waits for another transaction's lock for half of the
/// [statement timeout](super::PostgresBuilder::statement_timeout) returns
/// [`Unavailable`](BackendError::Unavailable). The rest of its batch is retried without it,
/// for some seconds at most.
///
/// # Reads
///
/// Reads share a few connections and go to the server that takes the writes. Each
/// connection carries up to 256 lookups or 16 lists at once. Further reads wait for up to
/// the statement timeout, then return [`Unavailable`](BackendError::Unavailable).
///
/// # Failover
///
/// A lost session is reopened. Failed attempts are repeated after pauses of up to a second,
/// and calls return [`Unavailable`](BackendError::Unavailable) at once meanwhile. If the
/// server does not answer within a second after the statement timeout, the session is
/// closed.
///
/// The URL may name several servers: `postgres://user:password@one,two/database`. The first
/// one that accepts writes is used, so that a promoted standby takes over. With
/// `synchronous_standby_names` set on the servers, the standby has every acknowledged
/// write; without it the last writes may be lost.
///
/// The old primary must be fenced before a standby is promoted. A process that has seen the
/// promoted server does not go back to the old one. All servers are contacted when the
/// backend is opened and after a session was lost. A process that loses no session, or that
/// reaches only the old primary, keeps using it.
///
/// # Changes
///
/// The [`ChangeFeed`] uses PostgreSQL's notifications, also for writes of other processes,
/// and reports a change within milliseconds. Each write sends its notification in its own
/// transaction. A subscription opens a connection of its own to the server that takes the
/// writes. A [bulk load](BulkLoad) is reported as
/// [`Change::Everything`](crate::backend::contract::Change). Engines without notifications have no
/// feed.
///
/// # TLS
///
/// With `sslmode=prefer`, the default, TLS is used if the server offers it. With `require`,
/// `verify-ca` or `verify-full` it is required. Whenever TLS is used, the certificate and
/// the name of the server are verified. Trusted are the certificates of the file
/// `sslrootcert` in the URL or of [`tls`](super::PostgresBuilder::tls), otherwise those of the
/// operating system. The client certificate is that of the files `sslcert` and `sslkey` in
/// the URL, or that of [`tls`](super::PostgresBuilder::tls). The key file must be as private as
/// for `libpq`.
///
/// # Engines
///
/// Tested with PostgreSQL 15. The statements use only what CockroachDB and YugabyteDB
/// support too, at any isolation level; these engines were not tested. A pooler such as
/// PgBouncer must give each connection its own session (`pool_mode = session`), because
/// statements are prepared once per session. Let the change feed bypass the pooler.
///
/// The database must use the encoding UTF8. Only creating and migrating the store requires a
/// user who may create tables. **The tables hold secrets in plain text**, because signatures
/// are verified with them; the wrapper `Encrypted` seals them.
///
/// # Example
///
/// ```no_run
/// use tower_credentials::backend::{CredentialBackend, postgres::PostgresBackend};
/// use tower_credentials::domain::AccessKey;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let backend = PostgresBackend::open("postgres://keys:secret@db.example/keys").await?;
/// let unknown = AccessKey::from_stored("unknown");
/// assert!(backend.find_by_access_key(&unknown).await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresBackend(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reads: Reads,
    writer: Writer,
    loader: BulkLoader,
    connector: Arc<Connector>,
}

impl PostgresBackend {
    pub(super) fn start(connector: Arc<Connector>, readers: usize, writers: usize) -> Self {
        let reads = Reads::start(&connector, readers);
        let writer = Writer::start(&connector, writers);
        let loader = BulkLoader::new(Arc::clone(&connector));
        Self(Arc::new(Inner { reads, writer, loader, connector }))
    }

    fn reads(&self) -> &Reads {
        &self.0.reads
    }

    async fn delete_at(
        &self,
        id: &CredentialId,
        expected: Option<i64>,
    ) -> Result<bool, BackendError> {
        let write = Write::Delete { id: escape(id.as_str()).into(), expected };
        Ok(self.write(write).await? > 0)
    }

    /// Writes; returns how many rows were changed.
    async fn write(&self, write: Write) -> Result<u64, BackendError> {
        match self.0.writer.write(write).await? {
            WriteResult::Done(rows) => Ok(rows),
            WriteResult::Unknown => Err(PostgresError::OutcomeUnknown.into_backend_error()),
            WriteResult::QuotaExceeded => Err(BackendError::QuotaExceeded),
            WriteResult::Retry | WriteResult::Taken => Err(BackendError::AlreadyExists),
        }
    }
}

#[async_trait]
impl CredentialBackend for PostgresBackend {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        self.write(Write::Insert { row: row_of(credential), quota }).await.map(drop)
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.reads().find(&statements::BY_ID, vec![text(id.as_str())]).await
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        let marker = access_key_marker(access_key.as_str());
        self.reads().find(&statements::BY_MARKER, vec![text(&marker)]).await
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        let values = vec![text(user_id.as_str()), text(slot.as_str())];
        self.reads().find(&statements::BY_SLOT, values).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.reads().list(query).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let expected = version_number(expected);
        let write = Write::Update { row: row_of(credential), expected };
        Ok(self.write(write).await? > 0)
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let (row, retired) = (row_of(credential), row_of(retired));
        let rotation = Rotation { row, quota, retired, expected: version_number(expected) };
        Ok(self.write(Write::Rotate(Box::new(rotation))).await? > 0)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let expected = version_number(expected);
        self.delete_at(id, Some(expected)).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        self.write(Write::PurgeUser { user_id: escape(user_id.as_str()).into() }).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.write(Write::PurgeProject { project_id: escape(project_id.as_str()).into() }).await
    }
}

#[async_trait]
impl BulkLoad for PostgresBackend {
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
        self.0.loader.load(records).await
    }
}

#[async_trait]
impl ChangeFeed for PostgresBackend {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        match Subscription::open(&self.0.connector).await {
            Ok(subscription) => Ok(Box::new(subscription)),
            Err(error) => Err(BackendError::Unavailable(Box::new(error))),
        }
    }
}

/// Uses of unknown keys are ignored, and those of a key are deleted with it. Concurrent
/// reports are written together.
#[async_trait]
impl Maintenance for PostgresBackend {
    async fn discard(&self, id: &CredentialId) -> Result<bool, BackendError> {
        self.delete_at(id, None).await
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

#[async_trait]
impl UsageLog for PostgresBackend {
    async fn record(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        let seconds = |time| whole_seconds(time).try_into().unwrap_or(i64::MAX);
        let uses = uses.iter().map(|(id, time)| (escape(id.as_str()).into(), seconds(*time)));
        let write = Write::RecordUses { uses: uses.collect() };
        self.write(write).await.map(drop).map_err(UsageError::new)
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        let ids: Vec<String> = ids.iter().map(|id| escape(id.as_str()).into()).collect();
        let rows = self.reads().query(statements::LAST_USED, vec![Box::new(ids)], LIST_WEIGHT);
        let rows =
            rows.await.map_err(PostgresError::into_backend_error).map_err(UsageError::new)?;
        rows.iter().map(last_use).collect::<Result<_, _>>().map_err(UsageError::new)
    }
}

/// Decodes a row of [`statements::LAST_USED`].
fn last_use(row: &Row) -> Result<(CredentialId, SystemTime), BackendError> {
    let (id, seconds): (&str, i64) = (row.get(0), row.get(1));
    let corrupt = |column| BackendError::Corrupt(Box::new(CorruptRow { id: id.into(), column }));
    let seconds = u64::try_from(seconds).map_err(|_| corrupt("last_used"))?;
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let time = time.ok_or_else(|| corrupt("last_used"))?;
    let id = unescape(id).ok_or_else(|| corrupt("id"))?;
    Ok((CredentialId::from_stored(id), time))
}
