//! Many records at once.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};
use tokio::task::spawn_blocking;

use super::SqliteBackend;
use super::queries::BY_ID;
use super::readers::unavailable;
use super::rows;
use super::write::{INSERT, Write, is_too_long};
use crate::backend::{BackendError, BulkLoad, Loaded, MAX_LOAD, row::Row};
use crate::domain::Credential;

/// A load is one transaction, and two at the most are in the queue: whoever writes
/// meanwhile waits for these and not for all that are wanted.
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

/// An insert that leaves what is there as it is.
static LOAD: LazyLock<String> = LazyLock::new(|| format!("{} ON CONFLICT DO NOTHING", *INSERT));

/// Loads rows within the current transaction.
pub(super) fn load(connection: &Connection, rows: &[Row]) -> rusqlite::Result<Vec<Loaded>> {
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

/// Whether the row with this id is the same in every field. One that cannot be read is
/// another.
fn is_there(connection: &Connection, row: &Row) -> rusqlite::Result<bool> {
    let mut find = connection.prepare_cached(&BY_ID)?;
    let held = find.query_row([&row.id], |held| Ok(rows::read(held).ok()));
    // Compared as rows: what was written by an earlier release may be spelled otherwise.
    Ok(held.optional()?.flatten().is_some_and(|held| rows::row_of(&held) == *row))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use rusqlite::limits::Limit;

    use super::*;
    use crate::backend::sqlite::schema;
    use crate::domain::{AccessKey, Blob, CredentialId, Kind, Material, UserId, Version};

    #[test]
    fn a_record_that_is_longer_than_the_engine_takes_is_refused_and_the_others_are_there() {
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
    fn a_row_that_cannot_be_read_is_neither_overwritten_nor_taken_for_the_same() {
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
