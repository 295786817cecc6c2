//! Credentials in PostgreSQL, and in engines that speak its protocol.

mod apart;
mod builder;
mod bulk;
mod connection;
mod connector;
mod era;
mod error;
mod feed;
mod line;
mod reads;
mod rows;
mod schema;
mod statements;
mod text;
mod together;
mod told;
mod trouble;
mod usage;
mod write;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;

use self::bulk::Loads;
use self::connector::Connector;
use self::reads::{Reads, text};
use self::text::stored;
use self::trouble::Trouble;
use self::write::{Outcome, Write};
use self::writer::Writer;

use super::row::version_number;
use super::{BackendError, CredentialBackend, ListQuery, OpenError, Page};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};

pub use self::builder::PostgresBuilder;

/// Keeps credentials in a PostgreSQL database.
///
/// The store for services that run on many machines. Any number of processes may use
/// one store; all the promises of [`CredentialBackend`] hold among them.
///
/// **Writes.** Those that come at the same time are one statement, or one transaction
/// where quotas are checked, in one round trip; a write is durable when it is answered,
/// also where the server is set not to wait for its disk. A quota is checked by
/// counting while the user's row is locked, so that there is no counter which could be
/// wrong. When transactions get into each other's way, or a session is lost before it
/// answers, an insert is recognised by its version if it is there; another write whose
/// session is lost, and an insert that is not there, is
/// [`Unavailable`](BackendError::Unavailable), and may have happened. A write whose
/// caller goes away before its batch is begun does not happen. A write that waits for a
/// lock of somebody else's for half of the
/// [statement time-out](PostgresBuilder::statement_timeout) is
/// [`Unavailable`](BackendError::Unavailable), and those that went with it are done
/// without it, as far as that is found out within some seconds.
///
/// **Reads** share a few connections, each of which carries up to 256 look-ups at once, or
/// 16 lists; further ones wait for as long as a statement may take, and are
/// [`Unavailable`](BackendError::Unavailable) then. They go to the server that takes the
/// writes.
///
/// **Trouble.** A session that is lost is opened again, with pauses of up to a second
/// while that fails; meanwhile calls are [`Unavailable`](BackendError::Unavailable) at
/// once. A statement may take as long as the
/// [statement time-out](PostgresBuilder::statement_timeout) on the server and a second
/// more here; then its session is given up. Several servers may stand in the URL,
/// `postgres://user:password@one,two/database`: the first that takes writes is used,
/// so that a standby which is promoted takes over. With `synchronous_standby_names` set
/// on the servers it has all that was acknowledged; without, the last writes may be
/// lost. The old primary must be stopped for good (fenced) before that. Should it come back
/// all the same, whoever has seen the promoted one does not go back to it; all servers are
/// looked at when a process starts and when a session was lost. But a process that loses no
/// session, or reaches the old one only, goes on there.
///
/// **Changes** are told by notifications: see [`ChangeFeed`](super::ChangeFeed). Each
/// write sends one in its own transaction.
///
/// **TLS.** With `sslmode=prefer`, the default, TLS is used if the server offers it;
/// with `require`, `verify-ca` or `verify-full` always. Whenever it is used, the
/// certificate is verified with the server's name: by the file `sslrootcert` in the
/// URL, by [`root_certificates`](PostgresBuilder::root_certificates), or by those of
/// the operating system. A server that asks for the client's certificate is shown that of
/// the files `sslcert` and `sslkey` in the URL, of which the key must be as private as for
/// `libpq`, or of [`client_certificate`](PostgresBuilder::client_certificate).
///
/// **Engines.** Tested with PostgreSQL 15. The statements keep to what CockroachDB and
/// YugabyteDB have too, at any isolation level, and notifications are left out where
/// the engine has none; those engines were not tested. A pooler such as PgBouncer must
/// give each connection a session of its own (`pool_mode = session`), for statements are
/// prepared once per session; the feed of changes should go past it.
///
/// **The tables hold secrets in plain text**, since signatures are checked with them,
/// unless they are sealed by `Encrypted`. The database needs the encoding UTF8. A user
/// who may create tables is needed only to make or to migrate the store.
///
/// The connections are run by tasks of the tokio runtime in which the backend was made,
/// and calls fail when that one has ended. A clone is another handle to the same
/// connections; they are closed when the last one is dropped and what was begun is done.
///
/// # Example
///
/// ```no_run
/// use tower_credentials::backend::{CredentialBackend, postgres::PostgresBackend};
/// use tower_credentials::domain::AccessKey;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let backend = PostgresBackend::connect("postgres://keys:secret@db.example/keys").await?;
/// let unknown = AccessKey::from_stored("nobody's");
/// assert!(backend.find_by_access_key(&unknown).await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresBackend(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    reads: Reads,
    writer: Writer,
    loads: Loads,
    connector: Arc<Connector>,
}

impl PostgresBackend {
    /// Connects to the database of a URL such as `postgres://user:password@host/database`,
    /// and brings the store there to the current schema; an empty database becomes a
    /// store.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose [`kind`](OpenError::kind) tells a server that cannot be
    /// reached from one that refuses the login, and another application's tables from
    /// those of a later release. What is no store of credentials is not touched.
    pub async fn connect(url: impl Into<String>) -> Result<Self, OpenError> {
        Self::builder(url).connect().await
    }

    /// As [`connect`](Self::connect), with further settings.
    pub fn builder(url: impl Into<String>) -> PostgresBuilder {
        PostgresBuilder::new(url.into())
    }

    fn start(connector: Arc<Connector>, readers: usize, writers: usize) -> Self {
        let reads = Reads::start(&connector, readers);
        let writer = Writer::start(&connector, writers);
        let loads = Loads::new(Arc::clone(&connector));
        Self(Arc::new(Parts { reads, writer, loads, connector }))
    }

    fn reads(&self) -> &Reads {
        &self.0.reads
    }

    /// Deletes the record with this id at whatever version, also one that cannot be read;
    /// `false` if there is none.
    ///
    /// # Errors
    ///
    /// None but those of every call: see [`BackendError`].
    pub async fn discard(&self, id: &CredentialId) -> Result<bool, BackendError> {
        self.delete_at(id, None).await
    }

    async fn delete_at(
        &self,
        id: &CredentialId,
        expected: Option<i64>,
    ) -> Result<bool, BackendError> {
        let write = Write::Delete { id: stored(id.as_str()).into(), expected };
        Ok(self.write(write).await? > 0)
    }

    /// Writes; returns how many rows it changed.
    async fn write(&self, write: Write) -> Result<u64, BackendError> {
        match self.0.writer.write(write).await? {
            Outcome::Done(rows) => Ok(rows),
            Outcome::Doubtful => Err(Trouble::Doubtful.into_backend_error()),
            Outcome::Full => Err(BackendError::QuotaExceeded),
            Outcome::Again | Outcome::Taken => Err(BackendError::AlreadyExists),
        }
    }
}

#[async_trait]
impl CredentialBackend for PostgresBackend {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        self.write(Write::Insert { row: rows::row_of(credential), quota }).await.map(drop)
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.reads().find(&statements::BY_ID, vec![text(id.as_str())]).await
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.reads().find(&statements::BY_ACCESS_KEY, vec![text(access_key.as_str())]).await
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
        let write = Write::Update { row: rows::row_of(credential), expected };
        Ok(self.write(write).await? > 0)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let expected = version_number(expected);
        self.delete_at(id, Some(expected)).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        self.write(Write::PurgeUser { user_id: stored(user_id.as_str()).into() }).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.write(Write::PurgeProject { project_id: stored(project_id.as_str()).into() }).await
    }
}
