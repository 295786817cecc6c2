//! Credentials in PostgreSQL, and in engines that speak its protocol.

mod builder;
mod bulk;
mod connection;
mod connector;
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
mod usage;
mod write;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;

use self::bulk::Loads;
use self::connector::Connector;
use self::reads::Reads;
use self::rows::Row;
use self::text::stored;
use self::write::{Outcome, Write};
use self::writer::Writer;

use super::{BackendError, CredentialBackend, ListQuery, Page};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};

pub use self::{
    builder::PostgresBuilder,
    error::{OpenError, OpenErrorKind},
};

/// Keeps credentials in a PostgreSQL database.
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

    /// Writes; returns how many rows it changed.
    async fn write(&self, write: Write) -> Result<u64, BackendError> {
        match self.0.writer.write(write).await? {
            Outcome::Done(rows) => Ok(rows),
            Outcome::Full => Err(BackendError::QuotaExceeded),
            Outcome::Again | Outcome::Taken => Err(BackendError::AlreadyExists),
        }
    }
}

#[async_trait]
impl CredentialBackend for PostgresBackend {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        self.write(Write::Insert { row: Row::of(credential), quota }).await.map(drop)
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.reads().find(&statements::BY_ID, &[&stored(id.as_str())]).await
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.reads().find(&statements::BY_ACCESS_KEY, &[&stored(access_key.as_str())]).await
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        let user_id = stored(user_id.as_str());
        self.reads().find(&statements::BY_SLOT, &[&user_id, &slot.as_str()]).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.reads().list(query).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let expected = rows::version_number(expected);
        let write = Write::Update { row: Row::of(credential), expected };
        Ok(self.write(write).await? > 0)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let expected = rows::version_number(expected);
        let write = Write::Delete { id: stored(id.as_str()).into(), expected };
        Ok(self.write(write).await? > 0)
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        self.write(Write::PurgeUser { user_id: stored(user_id.as_str()).into() }).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.write(Write::PurgeProject { project_id: stored(project_id.as_str()).into() }).await
    }
}
