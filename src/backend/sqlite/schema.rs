//! The schema and its versions.

use std::{path::Path, thread, time::Duration};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::{
    connection::{GIVE_WAY, checkpoint},
    error::open_failed,
    moving,
};
use crate::backend::{OpenError, OpenErrorKind};

/// The application id in the header of the file: `tCrd`.
const APPLICATION_ID: i32 = 0x7443_7264;

/// The newest version.
pub(super) const LATEST: u32 = 5;

/// The migrations from one version to the next; another one moves the records to the table of the
/// latest version. Existing files have run them: add, never change.
const MIGRATIONS: [&str; moving::FROM as usize] = [
    include_str!("migrations/0001_credentials.sql"),
    include_str!("migrations/0002_last_used.sql"),
    include_str!("migrations/0003_root_key.sql"),
    include_str!("migrations/0004_terms.sql"),
];

/// How often, and at which interval, to try to switch a new file's journal.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// Like [`prepare`], for a file that is opened again. An empty file was a store before:
/// creating a new store in it would hide the loss.
pub(super) fn renew(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    if read_version(connection, path)? == 0 {
        return Err(OpenError::new(OpenErrorKind::Corrupt, format!("{} is empty", path.display())));
    }
    prepare(connection, path)
}

/// Rejects a file that is not of the current schema.
pub(super) fn check(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    if read_version(connection, path)? == LATEST {
        return Ok(());
    }
    let what = format!("{} is not of the current schema", path.display());
    Err(OpenError::new(OpenErrorKind::Corrupt, what))
}

fn read_version(connection: &mut Connection, path: &Path) -> Result<u32, OpenError> {
    // One transaction, so that all reads are from one moment.
    let snapshot = connection.transaction().map_err(|error| open_failed(path, error))?;
    version_of(&snapshot, path)
}

/// Brings a file to the current schema, or rejects it before it is changed.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let engine = |error| open_failed(path, error);

    // The engine falls back to reading if it must not write.
    if connection.is_readonly("main").map_err(engine)? {
        let what = format!("{} is not writable", path.display());
        return Err(OpenError::new(OpenErrorKind::Unavailable, what));
    }
    let mut version = read_version(connection, path)?;
    if switch_to_wal(connection).map_err(engine)? != "wal" {
        let what =
            format!("the file system of {} does not support a write-ahead log", path.display());
        return Err(OpenError::new(OpenErrorKind::Unavailable, what));
    }
    while version < LATEST {
        version = migrate_once(connection, path)?;
    }
    Ok(())
}

/// Applies the next migration or a part of it, unless another process has done it meanwhile;
/// returns the version after it.
fn migrate_once(connection: &mut Connection, path: &Path) -> Result<u32, OpenError> {
    let engine = |error| open_failed(path, error);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(engine)?;
    let version = version_of(&transaction, path)?;
    let is_done = match MIGRATIONS.get(version as usize) {
        Some(migration) => transaction.execute_batch(migration).map(|()| true).map_err(engine)?,
        None if version == moving::FROM => moving::step(&transaction, path)?,
        None => return Ok(version),
    };
    let migrated = version + u32::from(is_done);
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(engine)?;
    transaction.pragma_update(None, "user_version", migrated).map_err(engine)?;
    transaction.commit().map_err(engine)?;
    if is_done {
        tracing::info!(path = %path.display(), version = migrated, "migrated the credential store");
    } else {
        checkpoint(connection, "PASSIVE").map_err(engine)?;
        // Other processes may write meanwhile.
        thread::sleep(GIVE_WAY);
    }
    Ok(migrated)
}

/// Returns the file's version, if the file is ours or empty.
fn version_of(snapshot: &Transaction<'_>, path: &Path) -> Result<u32, OpenError> {
    let engine = |error| open_failed(path, error);
    let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let application = snapshot.pragma_query_value(None, "application_id", number);
    let application = application.map_err(engine)?;
    let version = snapshot.pragma_query_value(None, "user_version", number).map_err(engine)?;
    let tables = snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], number);
    let is_empty = (application, version, tables.map_err(engine)?) == (0, 0, 0);

    if application != i64::from(APPLICATION_ID) && !is_empty {
        let what = format!("{} belongs to another application", path.display());
        return Err(OpenError::new(OpenErrorKind::Foreign, what));
    }
    match u32::try_from(version) {
        Ok(version) if version <= LATEST => Ok(version),
        _ => {
            let what = format!(
                "{} has schema version {version}, but this release supports versions up to {LATEST}",
                path.display(),
            );
            Err(OpenError::new(OpenErrorKind::Newer, what))
        }
    }
}

/// Makes the engine keep a write-ahead log; returns the journal mode that it uses.
///
/// When two connections switch a new file at once, the engine rejects one without waiting for
/// its timeout, since both might wait for each other.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<String> {
    let switch =
        || connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0));
    for _ in 1..ATTEMPTS {
        match switch() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
    switch()
}

#[cfg(test)]
pub(super) fn in_memory() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    while migrate_once(&mut connection, Path::new(":memory:")).unwrap() < LATEST {}
    connection
}
