//! SQLite without `SqliteBackend`, for comparison.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use data_encoding::HEXLOWER;
use rusqlite::{Connection, params, types::Value};
use sha2::{Digest as _, Sha256};
use tower_credentials::{
    backend::sqlite::SqliteBackend,
    domain::{AccessKey, Credential},
};

/// A record as values for SQLite.
#[derive(Debug)]
pub struct Row {
    hash: i64,
    id: Value,
    kind: String,
    user_id: Value,
    project_id: Value,
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
            hash: hash(credential.id.as_str()),
            id: stored(credential.id.as_str()),
            kind: credential.kind.as_str().into(),
            user_id: stored(credential.user_id.as_str()),
            project_id: credential
                .project_id
                .as_ref()
                .map_or(Value::Null, |id| stored(id.as_str())),
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

/// The number of the row, as the backend has it.
fn hash(id: &str) -> i64 {
    i64::from_be_bytes(Sha256::digest(id)[..8].try_into().unwrap())
}

/// Digits are stored as bytes, as the backend does.
fn stored(id: &str) -> Value {
    let bytes = matches!(id.len(), 32 | 64).then(|| HEXLOWER.decode(id.as_bytes()).ok()).flatten();
    bytes.map_or_else(|| Value::Text(id.into()), Value::Blob)
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
    let sql = "INSERT INTO records (hash, id, kind, user_id, project_id, access_key, material,
        status, attributes, created_at, updated_at, version)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let mut statement = connection.prepare_cached(sql).unwrap();
    for row in rows {
        let values = params![
            row.hash,
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
        + length(attributes) + length(created_at) + length(updated_at)) FROM records
        WHERE slot IS NULL AND delegation IS NULL";
    let sums = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    Connection::open(path).unwrap().query_row(sql, [], sums).unwrap()
}
