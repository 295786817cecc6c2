//! The backend: one method for each operation on the store.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::SystemTime,
};

use async_trait::async_trait;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::backend::hub::{self, Listener};
use crate::backend::row::version_number;
use crate::backend::{
    BackendError, CredentialBackend, ListQuery, OpenError, Page,
    contract::{
        BulkLoad, Change, ChangeFeed, Changes, Loaded, MAX_LOAD, Maintenance, Notice, Recount,
    },
};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};
use crate::usage::{UsageError, UsageLog, whole_seconds};

use super::file::{DatabaseFile, Opened};
use super::queries::{self, Lookup};
use super::readers::{Readers, unavailable};
use super::rows;
use super::statements::Rotation;
use super::write::Write;
use super::writer::Writer;

/// Stores credentials in an SQLite file.
///
/// For a service that runs as one process, or as a few processes on one machine. Any number of
/// processes may open the file, on a local file system.
///
/// A write is on disk when it returns; concurrent writes share one sync of the disk. While
/// another program has the file locked for more than two seconds, or the disk is full, writes
/// return [`Unavailable`](BackendError::Unavailable) and reads continue. Afterwards writes
/// work again.
///
/// If the file is removed or moved away while it is open, reads and writes return
/// [`Unavailable`](BackendError::Unavailable) until it is back; it is never created again. If
/// another store, such as a backup, is renamed to its path, the next call continues with that
/// one, and deletes the `-wal` and `-shm` files of the old one. So let a backup be one file,
/// as `VACUUM INTO` creates it. The new file must pass the checks of [`open`](Self::open);
/// otherwise every call returns [`Corrupt`](BackendError::Corrupt). If only the `-wal` file is
/// removed, the store accepts no writes until it is opened again. Never copy over the file,
/// nor touch its `-shm`, while it is open: that cannot be detected in time.
///
/// A record is looked up on the calling thread, which takes some microseconds, or as long as
/// the disk takes for a page that is not in memory. The same holds for the list of a user with
/// few records. Other calls, and lookups that would have to wait, run on other threads. Lists
/// use the blocking threads of the tokio runtime, so calls must be made within a runtime.
/// A clone is another handle to the same connections. Dropping the last handle blocks until
/// the writes in progress are done and the file is closed.
///
/// **The file contains secrets in plain text**, since they are needed to verify signatures. It
/// is created readable by its owner only; protect backups the same way. The files next to it
/// that end in `-wal` and `-shm` are part of it.
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
    // In this order: the connection that is closed last cleans up the files, and only the
    // writer may do that.
    readers: Arc<Readers>,
    writer: Arc<Writer>,
    /// One permit for each load in the queue or in progress.
    loads: Arc<Semaphore>,
}

impl SqliteBackend {
    pub(super) fn new(file: Arc<DatabaseFile>, opened: Opened) -> Result<Self, OpenError> {
        Ok(Self {
            readers: Arc::new(Readers::new(Arc::clone(&file))),
            writer: Arc::new(Writer::start(opened, file)?),
            // One is written while the next one is queued.
            loads: Arc::new(Semaphore::new(2)),
        })
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
        // As for records: few are listed here, many on another thread.
        if query.user_id.is_some()
            && let Some(Some(page)) =
                self.readers.at_once(|connection| queries::list_few(connection, query))
        {
            return Ok(page);
        }
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

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let (row, retired) = (rows::row_of(credential), rows::row_of(retired));
        let rotation = Rotation { row, quota, retired, expected: version_number(expected) };
        Ok(self.writer.write(Write::Rotate(Box::new(rotation))).await?.rows > 0)
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

/// A load is one transaction, and at most two are queued, so that other writers wait for these
/// two and not for all loads.
#[async_trait]
impl BulkLoad for SqliteBackend {
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
        let mut loaded = Vec::with_capacity(records.len());
        for records in records.chunks(MAX_LOAD) {
            let records = records.to_vec();
            let rows =
                spawn_blocking(move || records.iter().map(|record| rows::row_of(record)).collect());
            let rows = rows.await.map_err(unavailable)?;
            let turn = Arc::clone(&self.loads).acquire_owned().await.map_err(unavailable)?;
            loaded.extend(self.writer.write(Write::Load { rows, turn }).await?.loaded);
        }
        Ok(loaded)
    }
}

/// Reports writes through this backend and its clones one by one. Writes of other processes,
/// or a replaced file, are detected within about
/// [`MAX_FEED_WAIT`](crate::backend::contract::MAX_FEED_WAIT) and reported as [`Change::Everything`],
/// since the engine does not report the rows. A subscription ends with the last handle.
#[async_trait]
impl ChangeFeed for SqliteBackend {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        let listener = self.writer.hub().listen();
        let last = self.writer.write(Write::Look).await?.rows;
        Ok(Box::new(SqliteChanges { listener, writer: Arc::downgrade(&self.writer), last }))
    }
}

#[derive(Debug)]
struct SqliteChanges {
    listener: Listener,
    writer: Weak<Writer>,
    /// The result of the last look.
    last: u64,
}

#[async_trait]
impl Changes for SqliteChanges {
    async fn next(&mut self) -> Result<Notice, BackendError> {
        let mut notice = self.listener.next().await?;
        let writer = self.writer.upgrade().ok_or_else(hub::closed)?;
        let look = writer.write(Write::Look).await?.rows;
        if look != self.last {
            self.last = look;
            notice.changes.push(Change::Everything);
        }
        Ok(notice)
    }
}

#[async_trait]
impl Maintenance for SqliteBackend {
    async fn discard(&self, id: &CredentialId) -> Result<bool, BackendError> {
        self.delete_at(id, None).await
    }

    async fn check_indexes(&self) -> Result<Vec<String>, BackendError> {
        self.readers.run(queries::check_indexes).await
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

    /// The file and its write-ahead log.
    async fn disk_bytes(&self) -> Result<Option<u64>, BackendError> {
        Ok(self.readers.file.disk_bytes())
    }
}

/// Uses of unknown keys are ignored. Deleting a key deletes its last use. A report is
/// committed with the other waiting writes.
#[async_trait]
impl UsageLog for SqliteBackend {
    async fn record(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        let uses = uses.iter().map(|(id, time)| (id.as_str().into(), seconds(*time))).collect();
        self.writer.write(Write::Note { uses }).await.map(drop).map_err(UsageError::new)
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        let ids = ids.to_vec();
        // As for records: one is looked up here, many on another thread.
        if ids.len() == 1
            && let Some(found) =
                self.readers.at_once(|connection| queries::last_used(connection, &ids))
        {
            return Ok(found);
        }
        let found = self.readers.run(move |connection| queries::last_used(connection, &ids)).await;
        found.map_err(UsageError::new)
    }
}

fn seconds(time: SystemTime) -> i64 {
    whole_seconds(time).try_into().unwrap_or(i64::MAX)
}
