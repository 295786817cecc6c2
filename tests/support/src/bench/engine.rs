//! SQLite without `SqliteBackend`, for comparison.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, params};
use tower_credentials::{
    backend::sqlite::SqliteBackend,
    domain::{AccessKey, Credential, ProjectId},
};

/// A record as values for SQLite.
#[derive(Debug)]
pub struct Row {
    id: String,
    kind: String,
    user_id: String,
    project_id: Option<String>,
    access_key: Option<String>,
    material: String,
    status: &'static str,
    attributes: String,
    created_at: i64,
    updated_at: i64,
    version: i64,
}

impl From<Credential> for Row {
    fn from(credential: Credential) -> Self {
        Self {
            id: credential.id.as_str().into(),
            kind: credential.kind.as_str().into(),
            user_id: credential.user_id.as_str().into(),
            project_id: credential.project_id.as_ref().map(ProjectId::as_str).map(Into::into),
            access_key: credential.access_key.as_ref().map(AccessKey::as_str).map(Into::into),
            material: credential.material.encode().expose().into(),
            status: credential.status.as_str(),
            attributes: serde_json::to_string(&credential.attributes).unwrap(),
            created_at: micros(credential.created_at),
            updated_at: micros(credential.updated_at),
            version: credential.version.get().cast_signed(),
        }
    }
}

fn micros(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_micros().try_into().unwrap()
}

/// Drops the indexes of a file; returns the statements that create them again.
pub fn without_indexes(connection: &Connection) -> String {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let indexes: Vec<(String, String)> = rows.map(Result::unwrap).collect();
    for (name, _) in &indexes {
        connection.execute_batch(&format!("DROP INDEX {name}")).unwrap();
    }
    indexes.into_iter().map(|(_, sql)| sql + ";").collect()
}

/// Opens a file with the backend's schema and settings.
pub fn open(path: &Path) -> Connection {
    drop(SqliteBackend::open(path).unwrap());
    let connection = Connection::open(path).unwrap();
    let settings = "
        PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
        PRAGMA secure_delete = FAST; PRAGMA cache_size = -16384; PRAGMA mmap_size = 0;
        PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 33554432;";
    connection.execute_batch(settings).unwrap();
    connection
}

/// Inserts rows in one transaction.
pub fn commit<'a>(connection: &Connection, rows: impl IntoIterator<Item = &'a Row>) {
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    let sql = "INSERT INTO credentials (id, kind, user_id, project_id, access_key, material,
        status, attributes, created_at, updated_at, version)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let mut statement = connection.prepare_cached(sql).unwrap();
    for row in rows {
        let values = params![
            row.id,
            row.kind,
            row.user_id,
            row.project_id,
            row.access_key,
            row.material,
            row.status,
            row.attributes,
            row.created_at,
            row.updated_at,
            row.version,
        ];
        statement.execute(values).unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
}

/// The number of rows and the total length of their texts. They must be equal after the same work.
pub fn content(path: &Path) -> (i64, i64) {
    let sql = "SELECT count(*), sum(length(id) + length(kind) + length(user_id)
        + length(project_id) + length(access_key) + length(material) + length(status)
        + length(attributes) + length(created_at) + length(updated_at)) FROM credentials
        WHERE slot IS NULL AND delegation IS NULL";
    let sums = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    Connection::open(path).unwrap().query_row(sql, [], sums).unwrap()
}
