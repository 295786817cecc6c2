//! The statements that write. Each call is one write within the current transaction.

use std::sync::LazyLock;

use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Params, ffi, params, params_from_iter,
    types::ValueRef,
};

use crate::backend::row::{COLUMNS, Row};
use crate::backend::{BackendError, contract::Loaded};
use crate::domain::Quota;

use super::counts::Counts;
use super::queries::{BY_ID, by_id};
use super::{names, rows};

/// The result of a write.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The number of changed rows.
    pub(super) rows: u64,
    /// The result for each row of a load.
    pub(super) loaded: Vec<Loaded>,
}

impl Done {
    /// Returns the number of changed rows.
    pub(super) fn count(&self) -> usize {
        let loaded = self.loaded.iter().filter(|loaded| **loaded == Loaded::Stored).count();
        usize::try_from(self.rows).unwrap_or(usize::MAX).saturating_add(loaded)
    }
}

/// Inserts `row` and updates `retired`, or does neither.
pub(super) struct Rotation {
    pub(super) row: Row,
    pub(super) quota: Quota,
    pub(super) retired: Row,
    /// The version of the replaced record.
    pub(super) expected: i64,
}

const DELETE: &str = "DELETE FROM records WHERE hash = ?1 AND id = ?2 AND version = coalesce(?3, version) \
    RETURNING user_id";
/// Rows with a later use are not changed.
pub(super) const NOTE: &str = "UPDATE records SET last_used = ?3 \
    WHERE hash = ?1 AND id = ?2 AND (last_used IS NULL OR last_used < ?3)";
pub(super) const PURGE_PROJECT: &str = "DELETE FROM records WHERE project_id = ?";
pub(super) const PURGE_USER: &str = "DELETE FROM records WHERE user_id = ?";

pub(super) static INSERT: LazyLock<String> = LazyLock::new(|| {
    let places = ["?"; COLUMNS.len() + 1];
    format!("INSERT INTO records (hash, {}) VALUES ({})", COLUMNS.join(", "), places.join(", "))
});

/// The columns that most indexes have. Setting one rewrites its entries in them, also to the same
/// value.
const INDEXED: [&str; 4] = ["user_id", "project_id", "slot", "access_key"];

/// The values of these columns in the row with an id and a version.
const HELD: &str = "SELECT user_id, project_id, slot, access_key FROM records \
    WHERE hash = ? AND id = ? AND version = ?";

/// Updates the columns without most indexes, or all. The values are those of an insert, followed
/// by the expected version.
static UPDATES: LazyLock<[String; 2]> = LazyLock::new(|| {
    let update = |is_set: &dyn Fn(&str) -> bool| {
        let (first, last) = (2, COLUMNS.len() + 2);
        let numbered = COLUMNS.iter().zip(first..).skip(1);
        let set = numbered.filter(|(column, _)| is_set(column));
        let columns: Vec<_> = set.map(|(column, n)| format!("{column} = ?{n}")).collect();
        let columns = columns.join(", ");
        format!("UPDATE records SET {columns} WHERE hash = ?1 AND id = ?2 AND version = ?{last}")
    };
    [update(&|column| !INDEXED.contains(&column)), update(&|_| true)]
});

pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    values: impl Params,
) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(values)
}

/// Separates an error of the engine from the result of one write.
pub(super) fn outcome(
    changed: rusqlite::Result<usize>,
) -> rusqlite::Result<Result<Done, BackendError>> {
    match changed {
        Ok(rows) => Ok(Ok(Done { rows: rows as u64, ..Done::default() })),
        Err(error) if is_taken(&error) => Ok(Err(BackendError::AlreadyExists)),
        Err(error) if is_too_long(&error) => Ok(Err(BackendError::Unstorable(error.into()))),
        Err(error) => Err(error),
    }
}

/// Returns whether the row with this id and version has the same values in the indexed columns;
/// `None` if the row does not exist.
fn keeps_indexed(
    connection: &Connection,
    row: &Row,
    expected: i64,
) -> rusqlite::Result<Option<bool>> {
    let mut held = connection.prepare_cached(HELD)?;
    let is_same = |held: &rusqlite::Row<'_>| {
        // A damaged value is not the same.
        let is = |column, text: Option<&str>| {
            let held = held.get_ref(column)?;
            Ok::<_, rusqlite::Error>(held.as_str_or_null().is_ok_and(|held| held == text))
        };
        let is_name = |column, name: Option<&str>| {
            let held = held.get_ref(column)?;
            let is_null = held == ValueRef::Null;
            Ok::<_, rusqlite::Error>(match name {
                Some(name) => names::unpack(held).is_some_and(|held| held == name),
                None => is_null,
            })
        };
        Ok(is_name(0, Some(&row.user_id))?
            && is_name(1, row.project_id.as_deref())?
            && is(2, row.slot)?
            && is(3, row.access_key.as_deref())?)
    };
    let (hash, id) = by_id(&row.id);
    held.query_row(params![hash, id, expected], is_same).optional()
}

pub(super) fn insert(
    connection: &Connection,
    row: &Row,
    counts: &mut Counts,
) -> rusqlite::Result<Result<Done, BackendError>> {
    let done = outcome(execute(connection, &INSERT, params_from_iter(rows::values(row)?)))?;
    if done.is_ok() {
        counts.add(&row.user_id);
    }
    Ok(done)
}

pub(super) fn delete(
    connection: &Connection,
    id: &str,
    expected: Option<i64>,
    counts: &mut Counts,
) -> rusqlite::Result<usize> {
    let (hash, id) = by_id(id);
    let mut statement = connection.prepare_cached(DELETE)?;
    let mut rows = statement.query(params![hash, id, expected])?;
    let mut deleted = 0;
    while let Some(row) = rows.next()? {
        deleted += 1;
        match names::unpack(row.get_ref(0)?) {
            Some(user_id) if expected.is_some() => counts.remove(&user_id),
            // Only records that cannot be read are deleted at any version.
            _ => counts.clear(),
        }
    }
    Ok(deleted)
}

pub(super) fn update(
    connection: &Connection,
    row: &Row,
    expected: i64,
    counts: &mut Counts,
) -> rusqlite::Result<usize> {
    let Some(keeps_indexed) = keeps_indexed(connection, row, expected)? else { return Ok(0) };
    if !keeps_indexed {
        // The owner may be another one.
        counts.clear();
    }
    set(connection, row, expected, keeps_indexed)
}

fn set(
    connection: &Connection,
    row: &Row,
    expected: i64,
    keeps_indexed: bool,
) -> rusqlite::Result<usize> {
    let values = rows::values(row)?.into_iter().chain([expected.into()]);
    let [others, all] = &*UPDATES;
    let sql = if keeps_indexed { others } else { all };
    execute(connection, sql, params_from_iter(values))
}

/// Updates one row and inserts another one, or changes nothing.
pub(super) fn rotate(
    connection: &Connection,
    rotation: &Rotation,
    counts: &mut Counts,
) -> rusqlite::Result<Result<Done, BackendError>> {
    let Rotation { row, quota, retired, expected } = rotation;
    let Some(keeps_indexed) = keeps_indexed(connection, retired, *expected)? else {
        return Ok(Ok(Done::default()));
    };
    if counts.is_full(connection, &row.user_id, *quota)? {
        return Ok(Err(BackendError::QuotaExceeded));
    }
    if !keeps_indexed {
        counts.clear();
        return rotate_names(connection, rotation);
    }
    // Without a savepoint, for which the engine would copy every page that changes.
    let inserted = insert(connection, row, counts)?;
    if inserted.is_err() {
        return Ok(inserted);
    }
    let updated = outcome(set(connection, retired, *expected, keeps_indexed))?;
    if updated.is_err() {
        delete(connection, &row.id, Some(row.version), counts)?;
    }
    Ok(updated)
}

/// Like [`rotate`], if the updated row gives up a name, which the inserted row may take.
fn rotate_names(
    connection: &Connection,
    rotation: &Rotation,
) -> rusqlite::Result<Result<Done, BackendError>> {
    let Rotation { row, retired, expected, .. } = rotation;
    connection.prepare_cached("SAVEPOINT rotation")?.execute([])?;
    let done = (|| {
        let updated = outcome(set(connection, retired, *expected, false))?;
        if updated.is_err() {
            return Ok(updated);
        }
        outcome(execute(connection, &INSERT, params_from_iter(rows::values(row)?)))
    })();
    if !matches!(done, Ok(Ok(_))) {
        connection.prepare_cached("ROLLBACK TO rotation")?.execute([])?;
    }
    connection.prepare_cached("RELEASE rotation")?.execute([])?;
    done
}

/// Returns whether an id, an access key or a slot is taken.
fn is_taken(error: &rusqlite::Error) -> bool {
    let taken = [
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
        ffi::SQLITE_CONSTRAINT_ROWID,
        ffi::SQLITE_CONSTRAINT_UNIQUE,
    ];
    error.sqlite_error().is_some_and(|error| taken.contains(&error.extended_code))
}

/// Returns whether a value, or the whole row, is too long for the engine.
pub(super) fn is_too_long(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::TooBig)
}

/// An insert that does not change existing rows.
static LOAD: LazyLock<String> = LazyLock::new(|| format!("{} ON CONFLICT DO NOTHING", *INSERT));

/// Loads rows within the current transaction.
pub(super) fn load(connection: &Connection, rows: &[Row]) -> rusqlite::Result<Vec<Loaded>> {
    let mut insert = connection.prepare_cached(&LOAD)?;
    let load = |row: &Row| match insert.execute(params_from_iter(rows::values(row)?)) {
        Ok(0) if is_there(connection, row)? => Ok(Loaded::AlreadyThere),
        Ok(0) => Ok(Loaded::Refused),
        Ok(_) => Ok(Loaded::Stored),
        Err(error) if is_too_long(&error) => Ok(Loaded::Refused),
        Err(error) => Err(error),
    };
    rows.iter().map(load).collect()
}

/// Returns whether the row with this id is the same in every field. A row that cannot be read
/// is not the same.
fn is_there(connection: &Connection, row: &Row) -> rusqlite::Result<bool> {
    let mut find = connection.prepare_cached(&BY_ID)?;
    let (hash, id) = by_id(&row.id);
    let held = find.query_row(params![hash, id], |held| Ok(rows::read(held).ok()));
    // Compared as rows: earlier releases may have used another spelling.
    Ok(held.optional()?.flatten().is_some_and(|held| rows::row_of(&held) == *row))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use rusqlite::limits::Limit;

    use super::*;
    use crate::backend::sqlite::{counts::COUNT, schema};
    use crate::domain::{
        AccessKey, Blob, Credential, CredentialId, Kind, Material, UserId, Version,
    };

    #[test]
    fn writes_and_quota_counts_search_an_index() {
        let connection = schema::in_memory();
        let statements = [
            (DELETE, "INTEGER PRIMARY KEY (rowid=?)"),
            (NOTE, "INTEGER PRIMARY KEY (rowid=?)"),
            (PURGE_PROJECT, "INDEX records_by_project (project_id=?)"),
            (PURGE_USER, "INDEX records_by_user (user_id=?)"),
            (COUNT, "COVERING INDEX records_by_user (user_id=?)"),
            (HELD, "INTEGER PRIMARY KEY (rowid=?)"),
            (&UPDATES[0], "INTEGER PRIMARY KEY (rowid=?)"),
            (&UPDATES[1], "INTEGER PRIMARY KEY (rowid=?)"),
        ];
        for (sql, index) in statements {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = vec![""; statement.parameter_count()];
            let steps = statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
            let steps: Vec<String> = steps.map(Result::unwrap).collect();
            let on_table: Vec<_> = steps.iter().filter(|s| s.contains("records")).collect();
            assert_eq!(on_table.len(), 1, "{sql}: {steps:?}");
            assert!(on_table[0].starts_with("SEARCH"), "{sql}: {steps:?}");
            assert!(on_table[0].contains(index), "{sql}: {steps:?}");
        }
    }

    #[test]
    fn overlong_record_of_a_load_is_refused_and_the_others_are_stored() {
        let connection = schema::in_memory();
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 10_000).unwrap();
        let rows = [10, 20_000, 9_950, 10].map(|length| {
            let material = Material::Blob(Blob::new("x".repeat(length)));
            let (user, version) = (UserId::from_stored("bob"), Version::fresh());
            let id = CredentialId::random().unwrap();
            let kind = Kind::from_stored("cert");
            rows::row_of(&Credential::new(id, kind, user, material, UNIX_EPOCH, version))
        });
        let expected = [Loaded::Stored, Loaded::Refused, Loaded::Refused, Loaded::Stored];
        assert_eq!(load(&connection, &rows).unwrap(), expected);
    }

    #[test]
    fn unreadable_row_is_not_overwritten_and_not_the_same() {
        let connection = schema::in_memory();
        let material = Material::KeyPair { secret: None };
        let (user, version) = (UserId::from_stored("bob"), Version::fresh());
        let id = CredentialId::of(&AccessKey::from_stored("a"));
        let record = Credential::new(id, Kind::ec2(), user, material, UNIX_EPOCH, version);
        let rows = [rows::row_of(&record)];
        assert_eq!(load(&connection, &rows).unwrap(), [Loaded::Stored]);
        assert_eq!(load(&connection, &rows).unwrap(), [Loaded::AlreadyThere]);
        connection.execute("UPDATE records SET material = '?'", []).unwrap();
        assert_eq!(load(&connection, &rows).unwrap(), [Loaded::Refused]);
        let kept = connection.query_row("SELECT material FROM records", [], |row| row.get(0));
        assert_eq!(kept, Ok("?".to_owned()));
    }
}
