//! `import --keystone-keys`: from a dump of Keystone's table `credential`.
//!
//! Each line of the dump is a row: a JSON object with its columns.
//!
//! ```text
//! psql -At keystone -c 'SELECT row_to_json(c) FROM credential c'
//! mysql -N -r keystone -e "SELECT JSON_OBJECT('id', id, 'user_id', user_id, 'project_id',
//!     project_id, 'type', type, 'encrypted_blob', encrypted_blob, 'extra', extra)
//!     FROM credential"
//! ```

use std::{
    io::{BufRead, Read},
    path::Path,
    sync::Arc,
};

use crate::{
    report::{Exit, Failure, MAX_LISTED, Report},
    store::retry,
};
use serde_json::{Map, Value};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, Store, contract::Loaded, encrypted::FernetKeys},
    clock::{Clock, SystemClock},
    domain::Credential,
    keystone::records::{fingerprint, from_keystone},
};

/// How many records are loaded at once.
const BATCH: usize = 1_000;

/// The folder argument for a Keystone without a key repository.
const NO_KEYS: &str = "null";

/// How many rows were stored, skipped and rejected.
#[derive(Default)]
struct Tally {
    rows: u64,
    stored: u64,
    already_there: u64,
    refused: Vec<String>,
    odd: Vec<String>,
    unreadable: Vec<String>,
}

/// Opens a key repository.
pub(crate) fn keys(folder: &Path) -> Result<FernetKeys, Failure> {
    if folder == Path::new(NO_KEYS) {
        return Ok(FernetKeys::null());
    }
    FernetKeys::open(folder).map_err(|error| Failure::of(Exit::Usage, &error))
}

/// Imports all rows that can be read.
pub(crate) async fn import(
    dump: impl BufRead,
    keys: &FernetKeys,
    store: &Store,
) -> Result<Report, Failure> {
    let (mut tally, mut regular, mut odd) = (Tally::default(), Vec::new(), Vec::new());
    let mut lines = Lines(dump);
    let mut line = Vec::new();
    while lines.next(&mut line)? {
        tally.rows += 1;
        match record(&line, keys) {
            Ok((record, None)) => regular.push(Arc::new(record)),
            Ok((record, Some(why))) => {
                tally.odd.push(format!("{}: {why}", record.id.as_str()));
                odd.push(Arc::new(record));
            }
            Err(why) => tally.unreadable.push(format!("line {}: {why}", tally.rows)),
        }
        if regular.len() == BATCH {
            load(&regular, store, &mut tally).await?;
            regular.clear();
        }
    }
    load(&regular, store, &mut tally).await?;
    // Last: a row with a changed access key must not take the access key of a regular row.
    for batch in odd.chunks(BATCH) {
        load(batch, store, &mut tally).await?;
    }
    Ok(tally.report())
}

async fn load(
    records: &[Arc<Credential>],
    store: &Store,
    tally: &mut Tally,
) -> Result<(), BackendError> {
    let backend = store.backend();
    let outcomes = retry(|| backend.load(records)).await?;
    for (record, outcome) in records.iter().zip(outcomes) {
        match outcome {
            Loaded::Stored => tally.stored += 1,
            Loaded::AlreadyThere => tally.already_there += 1,
            Loaded::Refused if is_stored(record, store).await? => tally.already_there += 1,
            Loaded::Refused => tally.refused.push(record.id.as_str().to_owned()),
        }
    }
    Ok(())
}

/// Whether an earlier import stored the record. A dump contains no times and versions, so
/// fingerprints are compared.
async fn is_stored(record: &Credential, store: &Store) -> Result<bool, BackendError> {
    let backend = store.backend();
    match retry(|| backend.get(&record.id)).await {
        Ok(stored) => Ok(stored.is_some_and(|it| fingerprint(&it) == fingerprint(record))),
        Err(BackendError::Corrupt(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Converts a row to a record, and says what is odd about it, if anything. Error messages do not
/// contain values of the row.
fn record(
    line: &[u8],
    keys: &FernetKeys,
) -> Result<(Credential, Option<&'static str>), &'static str> {
    let mut row: Map<String, Value> =
        serde_json::from_slice(line).map_err(|_| "not a JSON object")?;
    let extra = match row.remove("extra") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(extra)) => extra,
        Some(Value::String(extra)) if extra.is_empty() => Map::new(),
        Some(Value::String(extra)) => {
            serde_json::from_str(&extra).map_err(|_| "extra is not a JSON object")?
        }
        Some(_) => return Err("extra is not a JSON object"),
    };
    let sealed = row.get("encrypted_blob").and_then(Value::as_str);
    let blob = keys.decrypt(sealed.ok_or("encrypted_blob is missing")?);
    let blob = blob.map_err(|_| "no key decrypts encrypted_blob")?;
    let mut found = extra;
    for name in ["id", "type", "user_id", "project_id"] {
        found.insert(name.into(), row.remove(name).unwrap_or_default());
    }
    found.insert("blob".into(), blob.expose().into());
    from_keystone(found, SystemClock.now())
}

impl Tally {
    fn report(&self) -> Report {
        let some = |lines: &[String]| lines.iter().take(MAX_LISTED).cloned().collect::<Vec<_>>();
        let failing = |lines: &[String], exit, message: &str| {
            let count = lines.len();
            (count > 0).then(|| Failure::new(exit, format!("{count} {message}")))
        };
        let unreadable = failing(&self.unreadable, Exit::Unreadable, "rows cannot be read");
        let message = "records were not stored: another record has their id or access key";
        Report::default()
            .with("records", self.rows)
            .with("stored", self.stored)
            .with("already_there", self.already_there)
            .with("refused", self.refused.len())
            .with("refused_ids", some(&self.refused))
            .with("odd", some(&self.odd))
            .with("unreadable", some(&self.unreadable))
            .failing(unreadable)
            .failing(failing(&self.refused, Exit::Conflict, message))
    }
}

/// Reads lines of limited length.
struct Lines<R>(R);

impl<R: BufRead> Lines<R> {
    /// Reads the next line that is not empty; `false` at the end.
    fn next(&mut self, line: &mut Vec<u8>) -> Result<bool, Failure> {
        const MAX_LINE: u64 = 64 << 20;
        loop {
            line.clear();
            if (&mut self.0).take(MAX_LINE).read_until(b'\n', line)? == 0 {
                return Ok(false);
            }
            if line.len() as u64 == MAX_LINE {
                return Err(Failure::new(
                    Exit::Unreadable,
                    "not a dump of rows: a line exceeds 64 MiB",
                ));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}
