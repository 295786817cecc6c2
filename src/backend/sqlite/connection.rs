//! Opening the file.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::backend::{OpenError, OpenErrorKind};

/// How long a statement waits for another process's lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of cached statements per connection: more than the number of distinct ones.
const STATEMENTS: usize = 48;

/// The settings of the connection that writes.
///
/// Without a memory map: with one the engine extends the file before it fills it, and on a
/// full disk a hole is worse than an error. Deleted secrets are overwritten where that costs
/// no further page.
const WRITER: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA secure_delete = FAST;
    PRAGMA cache_size = -16384;
    PRAGMA mmap_size = 0;
    PRAGMA wal_autocheckpoint = 4000;
    PRAGMA journal_size_limit = 33554432;
";

/// The settings of the connections that read.
///
/// Without a memory map too: if the file is truncated, or its disk fails, a map ends the whole
/// process instead of one read. The caches can hold the inner pages of the indexes of ten
/// million records; other pages come from the kernel's cache.
const READER: &str = "
    PRAGMA query_only = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA cache_size = -32768;
    PRAGMA mmap_size = 0;
";

/// Creates the file, readable by its owner only, if it does not exist.
///
/// The engine gives its `-wal` and `-shm` files the mode of this one.
pub(super) fn create_file(path: &Path) -> Result<(), OpenError> {
    // Closing a file drops all locks of the process on it, including those of the engine. So
    // no thread may open the file with the engine while another one still has it open from
    // creating it.
    static CREATING: Mutex<()> = Mutex::new(());
    let _guard = CREATING.lock().unwrap_or_else(PoisonError::into_inner);

    match new_private_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            warn_if_exposed(path);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("cannot create {}: its folder does not exist", path.display());
            Err(OpenError::new(OpenErrorKind::Unavailable, what).with_source(error))
        }
        Err(error) => {
            let what = format!("cannot create {}", path.display());
            Err(OpenError::new(OpenErrorKind::Unavailable, what).with_source(error))
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(unix)]
fn new_private_file(path: &Path) -> io::Result<()> {
    use std::{
        fs::Permissions,
        os::unix::fs::{OpenOptionsExt, PermissionsExt},
    };

    const OWNER_ONLY: u32 = 0o600;
    let file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)?;
    // A umask may have removed bits; it cannot have added any.
    file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    file.sync_all()?;
    // The engine syncs the folder for its own files, but not for this one.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Warns if others than the owner may read the file. Its mode is not changed: it may be
/// intended, and the engine's own files have it too.
#[cfg(unix)]
fn warn_if_exposed(path: &Path) {
    use std::os::unix::fs::MetadataExt;

    // If the file cannot be examined, opening it fails.
    let Ok(file) = std::fs::metadata(path) else { return };
    if is_exposed(file.mode()) {
        let mode = format!("{:03o}", file.mode() & 0o777);
        tracing::warn!(path = %path.display(), mode, "other users can read the file of credentials");
    }
}

#[cfg(not(unix))]
fn warn_if_exposed(_: &Path) {}

/// Returns whether this mode lets the group or others read.
#[cfg(unix)]
fn is_exposed(mode: u32) -> bool {
    mode & 0o044 != 0
}

#[cfg(not(unix))]
fn new_private_file(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.sync_all()
}

/// Opens the file for writing. The file must exist: only [`create_file`] creates files.
pub(super) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, WRITER)
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READER)
}

fn open(path: &Path, access: OpenFlags, settings: &str) -> rusqlite::Result<Connection> {
    // One thread at a time uses each connection, so the engine need not lock.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(settings)?;
    Ok(connection)
}
