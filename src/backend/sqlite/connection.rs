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

/// Statements kept ready per connection: more than there are different ones.
const STATEMENTS: usize = 48;

/// For the connection that writes.
///
/// It reads the file without a memory map: a map would make the engine stretch
/// the file before it is filled, and on a full disk a hole is worse than an error.
/// Deleted secrets are overwritten where that costs no further page.
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

/// For the connections that read.
///
/// No memory map here either: where the file is cut short, or its disk fails, a
/// map ends the whole process instead of one read. The caches hold the inner pages
/// of ten million records' indexes, where there are so many; the other pages come from the kernel's cache.
const READER: &str = "
    PRAGMA query_only = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA cache_size = -32768;
    PRAGMA mmap_size = 0;
";

/// Makes the file, readable by its owner only, unless there is one.
///
/// The engine gives its `-wal` and `-shm` files the mode of this one.
pub(super) fn create_file(path: &Path) -> Result<(), OpenError> {
    // Closing a file drops all locks that the process holds on it, those of the
    // engine included. So nobody in this process may open the file with the engine
    // while another thread still has it open from making it.
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
    // A umask may have taken bits away; none can have been added meanwhile.
    file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    file.sync_all()?;
    // The engine makes its own files durable in their folder, but not this one.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Tells of a file whose secrets others than its owner may read. Its mode is left
/// alone: it may be meant so, and the engine's own files have it too.
#[cfg(unix)]
fn warn_if_exposed(path: &Path) {
    use std::os::unix::fs::MetadataExt;

    // What cannot be looked at is refused when it is opened.
    let Ok(file) = std::fs::metadata(path) else { return };
    if is_exposed(file.mode()) {
        let mode = format!("{:03o}", file.mode() & 0o777);
        tracing::warn!(path = %path.display(), mode, "other users can read the file of credentials");
    }
}

#[cfg(not(unix))]
fn warn_if_exposed(_: &Path) {}

/// Whether this mode lets the group or others read.
#[cfg(unix)]
fn is_exposed(mode: u32) -> bool {
    mode & 0o044 != 0
}

#[cfg(not(unix))]
fn new_private_file(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.sync_all()
}

/// Opens the file for writing; it must exist, so that a file that was made here is
/// the only one that is ever made.
pub(super) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, WRITER)
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READER)
}

fn open(path: &Path, access: OpenFlags, settings: &str) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread at a time, so the engine need not lock.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(settings)?;
    Ok(connection)
}
