//! From a dump of Keystone's own table.
//!
//! A row of the table `credential` a line, as one JSON object with its columns:
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
    outcome::{Exit, Failure, Outcome},
    patience::patiently,
};
use serde_json::{Map, Value};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, Loaded, Store, encrypted::FernetKeys},
    clock::{Clock, SystemClock},
    domain::Credential,
    keystone::records::{fingerprint, from_keystone},
};

/// How many records are loaded at once.
const PART: usize = 1_000;

/// How many lines and records are told one by one.
const TOLD: usize = 100;

/// The name that stands for a Keystone without a key repository.
const NO_KEYS: &str = "null";

/// What became of the rows.
#[derive(Default)]
struct Tally {
    rows: u64,
    stored: u64,
    already_there: u64,
    refused: Vec<String>,
    odd: Vec<String>,
    unreadable: Vec<String>,
}

/// The keys in a repository.
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
) -> Result<Outcome, Failure> {
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
        if regular.len() == PART {
            load(&regular, store, &mut tally).await?;
            regular.clear();
        }
    }
    load(&regular, store, &mut tally).await?;
    // The odd ones last: an access key that was changed must not take another's place.
    for part in odd.chunks(PART) {
        load(part, store, &mut tally).await?;
    }
    Ok(tally.tell())
}

async fn load(
    records: &[Arc<Credential>],
    store: &Store,
    tally: &mut Tally,
) -> Result<(), BackendError> {
    let backend = store.backend();
    let outcomes = patiently(|| backend.load(records)).await?;
    for (record, outcome) in records.iter().zip(outcomes) {
        match outcome {
            Loaded::Stored => tally.stored += 1,
            Loaded::AlreadyThere => tally.already_there += 1,
            Loaded::Refused if is_there(record, store).await? => tally.already_there += 1,
            Loaded::Refused => tally.refused.push(record.id.as_str().to_owned()),
        }
    }
    Ok(())
}

/// Whether an earlier import stored it: Keystone tells no times and no versions.
async fn is_there(record: &Credential, store: &Store) -> Result<bool, BackendError> {
    let backend = store.backend();
    let held = patiently(|| backend.get(&record.id)).await;
    match held {
        Ok(held) => Ok(held.is_some_and(|held| fingerprint(&held) == fingerprint(record))),
        Err(BackendError::Corrupt(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a record of a row; beside it what is odd about it, if anything. What is wrong with
/// a row is told without its values.
fn record(
    line: &[u8],
    keys: &FernetKeys,
) -> Result<(Credential, Option<&'static str>), &'static str> {
    let mut row: Map<String, Value> =
        serde_json::from_slice(line).map_err(|_| "it is no JSON object")?;
    let extra = match row.remove("extra") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(extra)) => extra,
        Some(Value::String(extra)) if extra.is_empty() => Map::new(),
        Some(Value::String(extra)) => {
            serde_json::from_str(&extra).map_err(|_| "its extra is no JSON object")?
        }
        Some(_) => return Err("its extra is no JSON object"),
    };
    let sealed = row.get("encrypted_blob").and_then(Value::as_str);
    let blob = keys.decrypt(sealed.ok_or("it has no encrypted_blob")?);
    let blob = blob.map_err(|_| "none of the keys opens its encrypted_blob")?;
    let mut found = extra;
    for name in ["id", "type", "user_id", "project_id"] {
        found.insert(name.into(), row.remove(name).unwrap_or_default());
    }
    found.insert("blob".into(), blob.expose().into());
    from_keystone(found, SystemClock.now())
}

impl Tally {
    fn tell(&self) -> Outcome {
        let some = |lines: &[String]| lines.iter().take(TOLD).cloned().collect::<Vec<_>>();
        let failing = |lines: &[String], exit, what: &str| {
            let count = lines.len();
            (count > 0).then(|| Failure::new(exit, format!("{count} {what}")))
        };
        let unreadable = failing(&self.unreadable, Exit::Unreadable, "rows cannot be read");
        let what = "records are not stored: others hold their names";
        Outcome::default()
            .with("records", self.rows)
            .with("stored", self.stored)
            .with("already_there", self.already_there)
            .with("refused", self.refused.len())
            .with("refused_ids", some(&self.refused))
            .with("odd", some(&self.odd))
            .with("unreadable", some(&self.unreadable))
            .failing(unreadable)
            .failing(failing(&self.refused, Exit::Conflict, what))
    }
}

/// Lines that are no longer than any row can be.
struct Lines<R>(R);

impl<R: BufRead> Lines<R> {
    /// Reads the next line that is not empty; `false` at the end.
    fn next(&mut self, line: &mut Vec<u8>) -> Result<bool, Failure> {
        const LONGEST: u64 = 64 << 20;
        loop {
            line.clear();
            if (&mut self.0).take(LONGEST).read_until(b'\n', line)? == 0 {
                return Ok(false);
            }
            if line.len() as u64 == LONGEST {
                return Err(Failure::new(Exit::Unreadable, "this is no dump of rows"));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}
