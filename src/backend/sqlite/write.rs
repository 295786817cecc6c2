//! The jobs of the writer.

use rusqlite::{Connection, params};
use tokio::sync::OwnedSemaphorePermit;

use crate::backend::row::Row;
use crate::backend::{BackendError, contract::Change};
use crate::domain::{CredentialId, ProjectId, Quota, UserId};

use super::counts::Counts;
use super::queries::by_id;
use super::statements::{
    Done, NOTE, PURGE_PROJECT, PURGE_USER, Rotation, delete, execute, insert, load, outcome,
    rotate, update,
};
use super::{names, rows};

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
    Rotate(Box<Rotation>),
    Update {
        row: Row,
        expected: i64,
    },
}

impl Write {
    /// Applies the write within the current transaction.
    ///
    /// The outer error is the engine's and ends the transaction. The inner one is the result
    /// of this write alone, which then has changed nothing.
    pub(super) fn apply(
        &self,
        connection: &Connection,
        counts: &mut Counts,
    ) -> rusqlite::Result<Result<Done, BackendError>> {
        let changed = match self {
            Self::Delete { id, expected } => delete(connection, id, *expected, counts),
            Self::Insert { row, quota } => {
                if counts.is_full(connection, &row.user_id, *quota)? {
                    return Ok(Err(BackendError::QuotaExceeded));
                }
                return insert(connection, row, counts);
            }
            // The reply is sent when the transaction is over.
            Self::Look => Ok(0),
            Self::Load { rows, .. } => {
                counts.clear();
                let loaded = load(connection, rows)?;
                return Ok(Ok(Done { loaded, ..Done::default() }));
            }
            Self::Note { uses } => uses.iter().try_fold(0, |changed, (id, second)| {
                let (hash, id) = by_id(id);
                Ok(changed + execute(connection, NOTE, params![hash, id, second])?)
            }),
            Self::PurgeProject { project_id } => {
                counts.clear();
                execute(connection, PURGE_PROJECT, [names::pack(project_id.as_bytes())])
            }
            Self::PurgeUser { user_id } => {
                counts.forget(user_id);
                execute(connection, PURGE_USER, [names::pack(user_id.as_bytes())])
            }
            Self::Rotate(rotation) => return rotate(connection, rotation, counts),
            Self::Update { row, expected } => update(connection, row, *expected, counts),
        };
        outcome(changed)
    }

    /// Returns the length of the texts that can be long, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Insert { row, .. } | Self::Update { row, .. } => size(row),
            Self::Rotate(rotation) => size(&rotation.row) + size(&rotation.retired),
            Self::Load { rows, .. } => rows.iter().map(size).sum(),
            Self::Delete { .. }
            | Self::Look
            | Self::Note { .. }
            | Self::PurgeProject { .. }
            | Self::PurgeUser { .. } => 0,
        }
    }

    /// Returns the changes to report when the write may have changed anything.
    pub(super) fn changes(&self) -> Vec<Change> {
        match self {
            Self::Delete { id, .. } => vec![Change::deleted(CredentialId::from_stored(&**id))],
            Self::Insert { row, .. } | Self::Update { row, .. } => vec![rows::change(row)],
            Self::Rotate(rotation) => {
                vec![rows::change(&rotation.row), rows::change(&rotation.retired)]
            }
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

fn size(row: &Row) -> usize {
    let terms = row.terms.as_ref().map_or(0, String::len);
    row.material.len() + row.attributes.len() + terms
}

/// The maximum number of rows of a load that are reported one by one.
const MOST_REPORTED: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use rusqlite::limits::Limit;

    use super::*;
    use crate::backend::sqlite::schema;
    use crate::domain::{Blob, Credential, Kind, Material, Version};

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
            let result = insert(id, length).apply(&transaction, &mut Counts::default()).unwrap();
            if length == 10 {
                assert_eq!(result.unwrap().rows, 1);
            } else {
                let error = result.unwrap_err();
                assert!(matches!(error, BackendError::Unstorable(_)), "{error:?}");
            }
        }
        let version = "SELECT version FROM records WHERE id = 'a'";
        let expected = transaction.query_row(version, [], |row| row.get(0)).unwrap();
        let long = Write::Update { row: rows::row_of(&record("a", 20_000)), expected };
        let error = long.apply(&transaction, &mut Counts::default()).unwrap().unwrap_err();
        assert!(matches!(error, BackendError::Unstorable(_)), "{error:?}");
        transaction.commit().unwrap();
        let count = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0));
        assert_eq!(count, Ok(2));
    }
}
