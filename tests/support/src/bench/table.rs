//! Bulk loads into the table of `PostgresBackend` with PostgreSQL's COPY.

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use tower_credentials::domain::Credential;

/// The columns of a line.
const COLUMNS: &str = "id, kind, user_id, project_id, access_key, material, status, attributes, \
    created_at, updated_at, version";

/// The statement that loads a file of lines. The server reads the file.
pub fn copy_from(file: &str) -> String {
    format!("COPY credentials ({COLUMNS}) FROM '{file}'")
}

/// The lines of key pairs, in the format of `COPY`.
pub fn lines<'a>(records: impl IntoIterator<Item = &'a Credential>) -> String {
    let mut text = String::new();
    for record in records {
        let project = record.project_id.as_ref().unwrap();
        let key = record.access_key.as_ref().unwrap();
        let (material, version) = (record.material.encode(), record.version.get().cast_signed());
        let (made, changed) = (micros(record.created_at), micros(record.updated_at));
        writeln!(
            text,
            "{}\tec2\t{}\t{project}\t{key}\t{}\tActive\t{{}}\t{made}\t{changed}\t{version}",
            record.id,
            record.user_id,
            material.expose(),
        )
        .unwrap();
    }
    text
}

fn micros(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap().as_micros()
}
