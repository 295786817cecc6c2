//! Opening the file.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::backend::{OpenError, OpenErrorKind};

/// How often a statement tries to get a lock that another process has. The engine's own handler
/// soon waits 100 ms each time: it would seldom meet the short moments between the transactions
/// of a busy process.
const WAIT: Duration = Duration::from_millis(1);
const MOST_WAITS: i32 = 2_000;

/// How long a writer leaves the lock to other processes after a long transaction.
pub(super) const GIVE_WAY: Duration = Duration::from_millis(3);

/// The number of cached statements per connection: more than the number of distinct ones.
const STATEMENTS: usize = 48;

/// The settings of the connection that writes.
///
/// Without a memory map: with one the engine extends the file before it fills it, and on a
/// full disk a hole is worse than an error. Deleted secrets are overwritten where that costs
/// no further page. The module `checkpointer` copies the log before it has this
/// length; the limit is for many processes that write little.
const WRITER: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA secure_delete = FAST;
    PRAGMA cache_size = -16384;
    PRAGMA mmap_size = 0;
    PRAGMA wal_autocheckpoint = 16000;
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
    let mut connection = Connection::open_with_flags(path, flags)?;
    wait_for_locks(&mut connection)?;
    keep_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(settings)?;
    Ok(connection)
}

/// Makes the engine choose the plan of a statement only once. Otherwise it compiles some statements
/// again for each new value.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Copies the log into the file, as far as other processes permit it; returns the length of the
/// log in pages, or `None` if another connection copies it now. The mode is one of the engine's.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let is_busy: bool = row.get(0)?;
        Ok(if is_busy { None } else { Some(row.get(1)?) })
    })
}

/// Returns a number that changes when another connection has written to the file.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<u64> {
    let mut version = connection.prepare_cached("PRAGMA data_version")?;
    version.query_row([], |row| row.get(0)).map(i64::cast_unsigned)
}

/// Makes the statements of a connection wait for a lock, about two seconds.
pub(super) fn wait_for_locks(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(wait_once))
}

/// Waits a moment, unless the statement has waited often enough.
fn wait_once(waits: i32) -> bool {
    let waits_longer = waits < MOST_WAITS;
    if waits_longer {
        thread::sleep(WAIT);
    }
    waits_longer
}
