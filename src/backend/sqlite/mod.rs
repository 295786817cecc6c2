//! Credentials in an SQLite file.

mod connection;
mod error;
mod feed;
mod load;
mod place;
mod queries;
mod readers;
mod rows;
mod schema;
mod usage;
mod write;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use self::place::Place;
use self::queries::Lookup;
use self::readers::Readers;
use self::write::Write;
use self::writer::Writer;

use super::row::version_number;
use super::{
    BackendError, CredentialBackend, ListQuery, Maintenance, OpenError, OpenErrorKind, OpenMode,
    Page, Recount,
};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};

/// Keeps credentials in an SQLite file.
///
/// The store for a service that runs as one process, or as a few on one machine:
/// any number of processes may have the file open, on a local file system.
///
/// A write has reached the disk when it is answered; writes that come at the same
/// time share one trip to the disk. While the file is locked by another program
/// for more than two seconds, or the disk is full, writes are
/// [`Unavailable`](BackendError::Unavailable) and reads go on; when that is over,
/// so is the trouble.
///
/// When the file is removed or moved away while it is open, reads and writes are
/// [`Unavailable`](BackendError::Unavailable) until it is back; it is never made
/// anew. When another store is renamed to its path, such as a backup, the next call
/// goes on with that one, and what `-wal` and `-shm` hold of the old one is deleted;
/// so let a backup be one file, as `VACUUM INTO` makes it. What is there must pass
/// the checks of [`open`](Self::open), or all is
/// [`Corrupt`](BackendError::Corrupt). Without its `-wal` alone, the store takes no
/// writes until it is opened anew. Never copy over the file, nor touch its `-shm`,
/// while it is open: that cannot be noticed in time.
///
/// A record is looked up on the calling thread, which takes some microseconds, or as
/// long as the disk takes for a page that is not in memory; everything else, and a
/// look-up that would have to wait, is done on other threads. Lists use the blocking
/// threads of the tokio runtime, so calls must be made within one. A clone is another handle to the same connections. Dropping the
/// last handle blocks until the writes that are under way are done and the file
/// is closed.
///
/// **The file holds secrets in plain text**, since signatures are checked with
/// them. It is created readable by its owner only; back it up accordingly. What
/// lies next to it with the endings `-wal` and `-shm` is part of it.
///
/// # Example
///
/// ```
/// use tower_credentials::backend::{CredentialBackend, sqlite::SqliteBackend};
/// use tower_credentials::domain::AccessKey;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("credentials.db");
/// let backend = SqliteBackend::open(&path)?;
/// let unknown = AccessKey::from_stored("nobody's");
/// assert!(backend.find_by_access_key(&unknown).await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteBackend {
    // In this order: the connection that is closed last tidies up the files, and
    // only the writer may.
    readers: Arc<Readers>,
    writer: Arc<Writer>,
    /// A permit for each load that is under way or next.
    loads: Arc<Semaphore>,
}

impl SqliteBackend {
    /// Opens a file of credentials; creates it if it does not exist, in a folder that
    /// exists, and brings it to the current schema.
    ///
    /// The same as `SqliteBackend::builder(path).build()`.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteBuilder::build`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path).build()
    }

    /// Starts to open a file of credentials.
    pub fn builder(path: impl AsRef<Path>) -> SqliteBuilder {
        SqliteBuilder { path: path.as_ref().into(), mode: OpenMode::default() }
    }

    async fn delete_at(
        &self,
        id: &CredentialId,
        expected: Option<i64>,
    ) -> Result<bool, BackendError> {
        let write = Write::Delete { id: id.as_str().into(), expected };
        Ok(self.writer.write(write).await?.rows > 0)
    }

    async fn find(&self, lookup: Lookup) -> Result<Option<Arc<Credential>>, BackendError> {
        if let Some(found) = self.readers.at_once(|connection| queries::find(connection, &lookup)) {
            return Ok(found);
        }
        self.readers.run(move |connection| queries::find(connection, &lookup)).await
    }
}

/// Opens an [`SqliteBackend`].
#[derive(Clone, Debug)]
#[must_use = "a builder opens nothing until `build` is called"]
pub struct SqliteBuilder {
    path: PathBuf,
    mode: OpenMode,
}

impl SqliteBuilder {
    /// Whether the file must exist.
    ///
    /// Default: [`OpenMode::Create`].
    pub fn mode(mut self, mode: OpenMode) -> Self {
        self.mode = mode;
        self
    }

    /// Opens the file and brings it to the current schema.
    ///
    /// Blocks while it reads and writes the file, and for some seconds if another
    /// process holds the file locked: call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose [`kind`](OpenError::kind) distinguishes a missing folder from
    /// another application's file and from the file of a later release. A file that is not
    /// a file of credentials is not changed.
    pub fn build(self) -> Result<SqliteBackend, OpenError> {
        let Self { path, mode } = self;
        // Absolute, so that it means the same file for good, and so that the engine
        // takes no name for one of its own, such as `file:...` or `:memory:`.
        let absolute = std::path::absolute(&path).map_err(|error| {
            let what = format!("cannot resolve the path {}", path.display());
            OpenError::new(OpenErrorKind::Unavailable, what).with_source(error)
        })?;
        if mode != OpenMode::Create {
            check_existence(&path, mode)?;
        }
        connection::create_file(&absolute)?;
        let place = Arc::new(Place::new(absolute));
        let writer = place.first_writer()?;
        Ok(SqliteBackend {
            readers: Arc::new(Readers::new(Arc::clone(&place))),
            writer: Arc::new(Writer::start(writer, place)?),
            // One is written while the next one is in the queue.
            loads: Arc::new(Semaphore::new(2)),
        })
    }
}

fn check_existence(path: &Path, mode: OpenMode) -> Result<(), OpenError> {
    let exists = path.try_exists().map_err(|error| {
        let what = format!("cannot look for {}", path.display());
        OpenError::new(OpenErrorKind::Unavailable, what).with_source(error)
    })?;
    let path = path.display();
    match mode {
        OpenMode::CreateNew if exists => {
            Err(OpenError::new(OpenErrorKind::AlreadyExists, format!("{path} already exists")))
        }
        OpenMode::Existing if !exists => {
            Err(OpenError::new(OpenErrorKind::NotFound, format!("{path} does not exist")))
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl CredentialBackend for SqliteBackend {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        let write = Write::Insert { row: rows::row_of(credential), quota };
        self.writer.write(write).await.map(drop)
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.find(Lookup::Id(id.as_str().into())).await
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.find(Lookup::AccessKey(access_key.as_str().into())).await
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.find(Lookup::Slot { user_id: user_id.as_str().into(), slot: slot.as_str() }).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        let query = query.clone();
        self.readers.run(move |connection| queries::list(connection, &query)).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let expected = version_number(expected);
        let write = Write::Update { row: rows::row_of(credential), expected };
        Ok(self.writer.write(write).await?.rows > 0)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let expected = version_number(expected);
        self.delete_at(id, Some(expected)).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        let write = Write::PurgeUser { user_id: user_id.as_str().into() };
        Ok(self.writer.write(write).await?.rows)
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        let write = Write::PurgeProject { project_id: project_id.as_str().into() };
        Ok(self.writer.write(write).await?.rows)
    }
}

#[async_trait]
impl Maintenance for SqliteBackend {
    async fn discard(&self, id: &CredentialId) -> Result<bool, BackendError> {
        self.delete_at(id, None).await
    }

    async fn check_counters(&self) -> Result<Option<Recount>, BackendError> {
        Ok(None)
    }

    async fn recount(&self) -> Result<Option<Recount>, BackendError> {
        Ok(None)
    }

    /// The file and its write-ahead log.
    async fn disk_bytes(&self) -> Result<Option<u64>, BackendError> {
        Ok(self.readers.place.disk_bytes())
    }
}
