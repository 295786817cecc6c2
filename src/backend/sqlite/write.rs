//! The jobs of the writer.

use std::sync::LazyLock;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, ToSql, ffi, params};
use tokio::sync::OwnedSemaphorePermit;

use crate::backend::row::{COLUMNS, Row};
use crate::backend::{
    BackendError,
    contract::{Change, Loaded},
};
use crate::domain::{CredentialId, ProjectId, Quota, UserId};

use super::queries::BY_ID;
use super::rows;

/// One write, with all its data.
pub(super) enum Write {
    /// `None` matches any version.
    Delete {
        id: String,
        expected: Option<i64>,
    },
    Insert {
        row: Row,
        quota: Quota,
    },
    /// Writes nothing; asks whether another connection has written.
    Look,
    Load {
        rows: Vec<Row>,
        /// Held until the reply.
        #[expect(dead_code, reason = "lets the next load into the queue when it is dropped")]
        turn: OwnedSemaphorePermit,
    },
    /// Ids, and the second of the last use of each.
    Note {
        uses: Vec<(String, i64)>,
    },
    PurgeProject {
        project_id: String,
    },
    PurgeUser {
        user_id: String,
    },
    Update {
        row: Row,
        expected: i64,
    },
}

/// The result of a write.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The number of changed rows.
    pub(super) rows: u64,
    /// The result for each row of a load.
    pub(super) loaded: Vec<Loaded>,
}

impl Write {
    /// Applies the write within the current transaction.
    ///
    /// The outer error is the engine's and ends the transaction. The inner one is the result
    /// of this write alone, which then has changed nothing.
    pub(super) fn apply(
        &self,
        connection: &Connection,
    ) -> rusqlite::Result<Result<Done, BackendError>> {
        let changed = match self {
            Self::Delete { id, expected } => execute(connection, DELETE, params![id, expected]),
            Self::Insert { row, quota } => {
                if is_full(connection, &row.user_id, *quota)? {
                    return Ok(Err(BackendError::QuotaExceeded));
                }
                execute(connection, &INSERT, rows::values(row))
            }
            // The reply is sent when the transaction is over.
            Self::Look => Ok(0),
            Self::Load { rows, .. } => {
                let loaded = load(connection, rows)?;
                return Ok(Ok(Done { loaded, ..Done::default() }));
            }
            Self::Note { uses } => uses.iter().try_fold(0, |changed, (id, second)| {
                Ok(changed + execute(connection, NOTE, params![id, second])?)
            }),
            Self::PurgeProject { project_id } => execute(connection, PURGE_PROJECT, [project_id]),
            Self::PurgeUser { user_id } => execute(connection, PURGE_USER, [user_id]),
            Self::Update { row, expected } => {
                let values = rows::values(row).into_iter().chain([expected as &dyn ToSql]);
                execute(connection, &UPDATE, &*values.collect::<Vec<_>>())
            }
        };
        match changed {
            Ok(rows) => Ok(Ok(Done { rows: rows as u64, ..Done::default() })),
            Err(error) if is_taken(&error) => Ok(Err(BackendError::AlreadyExists)),
            Err(error) if is_too_long(&error) => Ok(Err(BackendError::Unstorable(error.into()))),
            Err(error) => Err(error),
        }
    }

    /// Returns the changes to report when the write may have changed anything.
    pub(super) fn changes(&self) -> Vec<Change> {
        match self {
            Self::Delete { id, .. } => vec![Change::deleted(CredentialId::from_stored(&**id))],
            Self::Insert { row, .. } | Self::Update { row, .. } => vec![rows::change(row)],
            // So many are not worth the memory while they wait.
            Self::Load { rows, .. } if rows.len() > MOST_REPORTED => vec![Change::Everything],
            Self::Load { rows, .. } => rows.iter().map(rows::change).collect(),
            Self::Look | Self::Note { .. } => Vec::new(),
            Self::PurgeProject { project_id } => {
                vec![Change::Project(ProjectId::from_stored(&**project_id))]
            }
            Self::PurgeUser { user_id } => vec![Change::User(UserId::from_stored(&**user_id))],
        }
    }
}

/// The maximum number of rows of a load that are reported one by one.
const MOST_REPORTED: usize = 256;

/// Returns a number that changes when another connection has written to the file.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<u64> {
    let version = connection.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0));
    version.map(i64::cast_unsigned)
}

const DELETE: &str = "DELETE FROM credentials WHERE id = ?1 AND version = coalesce(?2, version)";
/// Rows with a later use are not changed.
const NOTE: &str = "UPDATE credentials SET last_used = ?2 \
    WHERE id = ?1 AND (last_used IS NULL OR last_used < ?2)";
const PURGE_PROJECT: &str = "DELETE FROM credentials WHERE project_id = ?";
const PURGE_USER: &str = "DELETE FROM credentials WHERE user_id = ?";

/// Counts only up to the quota.
const COUNT: &str = "SELECT count(*) FROM \
    (SELECT 1 FROM credentials INDEXED BY by_user_and_id WHERE user_id = ? LIMIT ?)";

pub(super) static INSERT: LazyLock<String> = LazyLock::new(|| {
    let places = ["?"; COLUMNS.len()];
    format!("INSERT INTO credentials ({}) VALUES ({})", COLUMNS.join(", "), places.join(", "))
});

static UPDATE: LazyLock<String> = LazyLock::new(|| {
    // The values are those of an insert, followed by the expected version.
    let (first, last) = (1, COLUMNS.len() + 1);
    let numbered = COLUMNS.iter().zip(first..).skip(first);
    let columns: Vec<_> = numbered.map(|(column, n)| format!("{column} = ?{n}")).collect();
    format!("UPDATE credentials SET {} WHERE id = ?1 AND version = ?{last}", columns.join(", "))
});

fn execute(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(values)
}

fn is_full(connection: &Connection, user_id: &str, quota: Quota) -> rusqlite::Result<bool> {
    let Quota::AtMost(limit) = quota else { return Ok(false) };
    let mut count = connection.prepare_cached(COUNT)?;
    let held: i64 = count.query_row(params![user_id, limit], |row| row.get(0))?;
    Ok(!quota.admits(held.unsigned_abs()))
}

/// Returns whether an id, an access key or a slot is taken.
fn is_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|e| e.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE)
}

/// Returns whether a value, or the whole row, is too long for the engine.
pub(super) fn is_too_long(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::TooBig)
}

/// An insert that does not change existing rows.
static LOAD: LazyLock<String> = LazyLock::new(|| format!("{} ON CONFLICT DO NOTHING", *INSERT));

/// Loads rows within the current transaction.
fn load(connection: &Connection, rows: &[Row]) -> rusqlite::Result<Vec<Loaded>> {
    let mut insert = connection.prepare_cached(&LOAD)?;
    let load = |row: &Row| match insert.execute(rows::values(row)) {
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
    let held = find.query_row([&row.id], |held| Ok(rows::read(held).ok()));
    // Compared as rows: earlier releases may have used another spelling.
    Ok(held.optional()?.flatten().is_some_and(|held| rows::row_of(&held) == *row))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use rusqlite::{limits::Limit, params_from_iter};

    use super::*;
    use crate::backend::sqlite::schema;
    use crate::domain::{AccessKey, Blob, Credential, Kind, Material, Version};

    #[test]
    fn overlong_write_is_rejected_and_the_others_are_kept() {
        let mut connection = schema::in_memory();
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 10_000).unwrap();
        let record = |id: &str, length| {
            let material = Material::Blob(Blob::new("x".repeat(length)));
            let (user, version) = (UserId::from_stored("bob"), Version::fresh());
            let id = CredentialId::from_stored(id);
            Credential::new(id, Kind::from_stored("cert"), user, material, UNIX_EPOCH, version)
        };
        let insert = |id: &str, length| Write::Insert {
            row: rows::row_of(&record(id, length)),
            quota: Quota::Unlimited,
        };
        let transaction = connection.transaction().unwrap();
        // One value that is too long, and one row.
        for (id, length) in [("a", 10), ("b", 20_000), ("c", 9_950), ("d", 10)] {
            let result = insert(id, length).apply(&transaction).unwrap();
            if length == 10 {
                assert_eq!(result.unwrap().rows, 1);
            } else {
                let error = result.unwrap_err();
                assert!(matches!(error, BackendError::Unstorable(_)), "{error:?}");
            }
        }
        let long = Write::Update { row: rows::row_of(&record("a", 20_000)), expected: 0 };
        let error = long.apply(&transaction).unwrap().unwrap_err();
        assert!(matches!(error, BackendError::Unstorable(_)), "{error:?}");
        transaction.commit().unwrap();
        let count = connection.query_row("SELECT count(*) FROM credentials", [], |row| row.get(0));
        assert_eq!(count, Ok(2));
    }

    #[test]
    fn writes_and_quota_counts_search_an_index() {
        let connection = schema::in_memory();
        let statements = [
            (DELETE, "INDEX by_id (id=?)"),
            (NOTE, "INDEX by_id (id=?)"),
            (PURGE_PROJECT, "INDEX by_project_and_id (project_id=?)"),
            (PURGE_USER, "INDEX by_user_and_id (user_id=?)"),
            (COUNT, "COVERING INDEX by_user_and_id (user_id=?)"),
            (&UPDATE, "INDEX by_id (id=?)"),
        ];
        for (sql, index) in statements {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = vec![""; statement.parameter_count()];
            let steps = statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
            let steps: Vec<String> = steps.map(Result::unwrap).collect();
            let on_table: Vec<_> = steps.iter().filter(|s| s.contains("credentials")).collect();
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
        connection.execute("UPDATE credentials SET material = '?'", []).unwrap();
        assert_eq!(load(&connection, &rows).unwrap(), [Loaded::Refused]);
        let kept = connection.query_row("SELECT material FROM credentials", [], |row| row.get(0));
        assert_eq!(kept, Ok("?".to_owned()));
    }
}
