//! The migration that moves the records to another table.
//!
//! It takes many transactions, so that processes of an earlier release can read and write
//! meanwhile, and continues where it was interrupted. Triggers of the old table note which
//! records change.

use std::path::Path;

use rusqlite::{
    Connection, OptionalExtension, ToSql, params, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};

use super::{error::open_failed, names};
use crate::backend::{
    OpenError, OpenErrorKind,
    row::{COLUMNS, ID, PROJECT_ID, USER_ID},
};

/// The version that the records are moved from.
pub(super) const FROM: u32 = 4;

/// How many records one transaction moves.
const BATCH: u32 = 2_000;

const RECORDS: &str = include_str!("migrations/0005_records.sql");
const MOVING: &str = include_str!("migrations/0005_moving.sql");
const END: &str = "DROP TABLE credentials; DROP TABLE changed; DROP TABLE moving;";

/// The columns that are copied, from the old table or into the new one.
const LAST_USED: &str = "last_used";

/// Does a part of the migration within a transaction. Returns whether it is complete.
pub(super) fn step(connection: &Connection, path: &Path) -> Result<bool, OpenError> {
    let engine = |error| open_failed(path, error);
    let mover = Mover { connection, path };
    if !mover.has_table("moving").map_err(engine)? {
        connection.execute_batch(RECORDS).map_err(engine)?;
        connection.execute_batch(MOVING).map_err(engine)?;
    }
    mover.move_changed()?;
    if mover.move_next()? < BATCH {
        mover.check_complete()?;
        connection.execute_batch(END).map_err(engine)?;
        return Ok(true);
    }
    Ok(false)
}

struct Mover<'a> {
    connection: &'a Connection,
    path: &'a Path,
}

impl Mover<'_> {
    fn has_table(&self, name: &str) -> rusqlite::Result<bool> {
        let mut find = self.connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?")?;
        find.exists([name])
    }

    /// Checks that no record is missing before the old table is dropped.
    fn check_complete(&self) -> Result<(), OpenError> {
        let same = "SELECT (SELECT count(*) FROM credentials) = (SELECT count(*) FROM records)";
        let same = self.connection.query_row(same, [], |row| row.get(0));
        if same.map_err(|error| self.failed(error))? {
            return Ok(());
        }
        let what = format!("{}: not all credentials were moved", self.path.display());
        Err(OpenError::new(OpenErrorKind::Corrupt, what))
    }

    /// Moves the records again that have changed since they were moved.
    fn move_changed(&self) -> Result<(), OpenError> {
        let changed = self.changed().map_err(|error| self.failed(error))?;
        // All first: a record may have the former access key of another one.
        for id in &changed {
            let values = params![names::hash(id), names::pack(id)];
            let delete = "DELETE FROM records WHERE hash = ? AND id = ?";
            let deleted = self.connection.prepare_cached(delete);
            deleted.and_then(|mut it| it.execute(values)).map_err(|error| self.failed(error))?;
        }
        let one = format!(
            "SELECT rowid, {} FROM credentials WHERE id = ? AND rowid <= (SELECT last FROM moving)",
            copied()
        );
        for id in changed {
            self.copy(&one, &ToSqlOutput::Borrowed(ValueRef::Text(&id)))?;
        }
        let clear = self.connection.execute("DELETE FROM changed", []);
        clear.map(drop).map_err(|error| self.failed(error))
    }

    fn changed(&self) -> rusqlite::Result<Vec<Vec<u8>>> {
        let mut changed = self.connection.prepare_cached("SELECT id FROM changed")?;
        let ids = changed.query_map([], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()))?;
        ids.collect()
    }

    /// Moves the next records; returns their number.
    fn move_next(&self) -> Result<u32, OpenError> {
        let next = format!(
            "SELECT rowid, {} FROM credentials WHERE rowid > (SELECT last FROM moving)
            ORDER BY rowid LIMIT ?",
            copied()
        );
        let (moved, last) = self.copy(&next, &BATCH)?;
        if let Some(last) = last {
            let update = self.connection.execute("UPDATE moving SET last = ?", [last]);
            update.map_err(|error| self.failed(error))?;
        }
        Ok(moved)
    }

    /// Copies the rows of a query; returns their number, and the number of the last row.
    fn copy(&self, query: &str, value: &dyn ToSql) -> Result<(u32, Option<i64>), OpenError> {
        let (mut moved, mut last) = (0, None);
        let mut copy = || {
            let places = vec!["?"; COLUMNS.len() + 2].join(", ");
            let insert = format!("INSERT INTO records (hash, {}) VALUES ({places})", copied());
            let mut insert = self.connection.prepare_cached(&insert)?;
            let mut select = self.connection.prepare_cached(query)?;
            let mut rows = select.query([value])?;
            while let Some(row) = rows.next()? {
                if let Err(error) = insert.execute(params_from_iter(values(row)?)) {
                    return Ok(Err((name(row), error)));
                }
                last = Some(row.get(0)?);
                moved += 1;
            }
            Ok(Ok(()))
        };
        match copy().map_err(|error| self.failed(error))? {
            Ok(()) => Ok((moved, last)),
            Err((id, error)) if error.sqlite_error_code() == Some(CONSTRAINT) => {
                let what = format!(
                    "{}: the credential {id:?} has the access key or the digest of another one",
                    self.path.display()
                );
                Err(OpenError::new(OpenErrorKind::Corrupt, what).with_source(error))
            }
            Err((_, error)) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: rusqlite::Error) -> OpenError {
        open_failed(self.path, error)
    }
}

const CONSTRAINT: rusqlite::ErrorCode = rusqlite::ErrorCode::ConstraintViolation;

fn copied() -> String {
    format!("{}, {LAST_USED}", COLUMNS.join(", "))
}

/// Returns the number of the new row, and the values of all columns. Damaged values are kept.
fn values<'a>(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Vec<ToSqlOutput<'a>>> {
    // The old row's number is the first column.
    let id = row.get_ref(ID + 1)?;
    let mut values = vec![names::hash(id.as_bytes()?).into()];
    for column in 0..=COLUMNS.len() {
        values.push(match (column, row.get_ref(column + 1)?) {
            (ID | USER_ID | PROJECT_ID, ValueRef::Text(id)) => names::pack(id),
            (_, value) => ToSqlOutput::Borrowed(value),
        });
    }
    Ok(values)
}

fn name(row: &rusqlite::Row<'_>) -> String {
    let id = row.get_ref(ID + 1).optional().ok().flatten().and_then(names::unpack);
    id.unwrap_or_default().into_owned()
}
