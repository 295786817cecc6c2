//! The connections that read.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::backend::BackendError;

use super::connection::wait_for_locks;
use super::file::{DatabaseFile, Opened};
use crate::backend::OpenError;

/// More connections do not make reads faster, but take more memory.
const MOST: usize = 4;

/// A few connections, opened on demand, that read in parallel with each other and with the
/// writer.
pub(super) struct Readers {
    pub(super) file: Arc<DatabaseFile>,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Opened>>,
}

impl Readers {
    pub(super) fn new(file: Arc<DatabaseFile>) -> Self {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let permits = Arc::new(Semaphore::new(cores.clamp(2, MOST)));
        Self { file, permits, idle: Mutex::default() }
    }

    /// Runs a read with one of the connections, on a thread that may block.
    ///
    /// Callers wait for a permit, not for a thread, so that reads never fill the
    /// runtime's pool of blocking threads.
    pub(super) async fn run<T, R>(self: &Arc<Self>, read: R) -> Result<T, BackendError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, BackendError> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(unavailable)?;
        let readers = Arc::clone(self);
        let reading = spawn_blocking(move || {
            // Held until the read is over, even if its caller is gone.
            let _permit = permit;
            let opened = readers.take()?;
            let result = read(&opened.connection);
            // The connection may have caused the error: the next read gets a new one.
            if result.is_ok() {
                readers.idle().push(opened);
            }
            result
        });
        reading.await.map_err(unavailable)?
    }

    /// Runs a short read on this thread: handing it to another thread costs more than the read
    /// itself.
    ///
    /// Returns `None` if that is not possible at once, or not at all; then call
    /// [`run`](Self::run). Never waits for a lock, but waits for the disk if a page is not in
    /// memory.
    pub(super) fn at_once<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, BackendError>,
    ) -> Option<T> {
        let _permit = self.permits.try_acquire().ok()?;
        let mut opened = self.idle().pop()?;
        if !self.file.is_current(&opened) {
            return None;
        }
        opened.connection.busy_timeout(Duration::ZERO).ok()?;
        let found = read(&opened.connection).ok()?;
        wait_for_locks(&mut opened.connection).ok()?;
        self.idle().push(opened);
        Some(found)
    }

    fn take(&self) -> Result<Opened, BackendError> {
        self.file.reader(|| self.idle().pop()).map_err(OpenError::into_backend_error)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Opened>> {
        // Nothing can panic while it is locked.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("path", &self.file.path()).finish_non_exhaustive()
    }
}

/// The error of a read that panicked, or whose runtime is shutting down.
pub(super) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> BackendError {
    BackendError::Unavailable(Box::new(error))
}
