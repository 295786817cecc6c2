//! Many records at once.
//!
//! Rows that are all new go in by `COPY`, the quickest way there is. If one of them is
//! not, nothing of the copy is kept, and the rows go in by inserts that leave out what
//! is there.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::{sync::Semaphore, time::sleep};
use tokio_postgres::{
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use super::PostgresBackend;
use super::connection::{LONG, Link, Values};
use super::connector::{Connector, Role};
use super::line::pause;
use super::rows::{self, Arrays};
use super::statements::{self, TEXTS};
use super::together::either;
use super::told;
use super::trouble::{Trouble, Verdict};
use crate::backend::row::{COLUMNS, Row};
use crate::backend::{BackendError, BulkLoad, Loaded};
use crate::domain::{Credential, CredentialId};

/// How many loads run at once; further ones wait.
const MOST: usize = 4;

/// About how many bytes one insert takes, and how many records are compared at once.
const MAX_BYTES: usize = 16 << 20;
const COMPARED: usize = 500;

/// How often to try when other transactions are in the way.
const TRIES: u32 = 5;

/// The feed of changes tells each load as [`Change::Everything`](crate::backend::Change).
#[async_trait]
impl BulkLoad for PostgresBackend {
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
        // What comes twice under one id meets itself in the store.
        let mut ids = HashSet::new();
        let (mut first, again): (Vec<usize>, Vec<usize>) =
            (0..records.len()).partition(|n| ids.insert(&records[*n].id));
        // Loads of the same records that race wait for each other, and not in a circle.
        first.sort_unstable_by_key(|n| records[*n].id.as_str());
        let mut parts = vec![first];
        parts.extend(again.into_iter().map(|n| vec![n]));
        let mut loaded = vec![Loaded::Refused; records.len()];
        for part in parts {
            let records: Vec<_> = part.iter().map(|n| Arc::clone(&records[*n])).collect();
            let results = self.0.loads.load(&records).await?;
            part.into_iter().zip(results).for_each(|(n, result)| loaded[n] = result);
        }
        Ok(loaded)
    }
}

/// The sessions that load: opened when first needed, and kept.
#[derive(Debug)]
pub(super) struct Loads {
    connector: Arc<Connector>,
    permits: Semaphore,
    idle: Mutex<Vec<Link>>,
}

impl Loads {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, permits: Semaphore::new(MOST), idle: Mutex::default() }
    }

    /// Loads records of different ids.
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|_| Trouble::Gone.into_backend_error())?;
        let rows: Vec<Row> = records.iter().map(|record| rows::row_of(record)).collect();
        let mut tries = 1;
        loop {
            let link = self.link().await.map_err(Trouble::into_backend_error)?;
            let mut loaded = Err(Trouble::Doubtful);
            let loading = async { loaded = load(&link, records, &rows).await };
            // A server that is left behind keeps nothing for others to see.
            either(loading, link.term().over()).await;
            let trouble = match loaded {
                // A session is used again only if it came to an end with it.
                Ok(loaded) => {
                    self.idle().push(link);
                    return Ok(loaded);
                }
                Err(trouble) => trouble,
            };
            let again = matches!(trouble.verdict(), Verdict::Conflict | Verdict::Stale);
            if tries == TRIES || !again {
                return Err(trouble.into_backend_error());
            }
            sleep(pause(tries)).await;
            tries += 1;
        }
    }

    async fn link(&self) -> Result<Link, Trouble> {
        while let Some(link) = self.idle().pop() {
            if !link.is_closed() {
                return Ok(link);
            }
        }
        let opened = self.connector.open(Role::Write).await;
        opened.map(|(link, _)| link).map_err(|error| Trouble::Away(Arc::new(error)))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        // Nothing can panic while it is held.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn load(
    link: &Link,
    records: &[Arc<Credential>],
    rows: &[Row],
) -> Result<Vec<Loaded>, Trouble> {
    match copy(link, rows).await {
        Ok(()) => return Ok(vec![Loaded::Stored; rows.len()]),
        Err(trouble) if trouble.verdict() == Verdict::Data => {}
        Err(trouble) => return Err(trouble),
    }
    link.in_time(link.limit(), link.client().batch_execute(statements::ROLLBACK)).await?;
    let stored = merge(link, rows).await?;
    compare(link, records, rows, &stored).await
}

/// Takes all rows, or none if one of them cannot be stored.
async fn copy(link: &Link, rows: &[Row]) -> Result<(), Trouble> {
    let limit = link.limit() * LONG;
    link.in_time(limit, async {
        let client = link.client();
        let copy = link.statement(&statements::COPY).await?;
        client.batch_execute(&link.begin_long(limit)).await?;
        let types: Vec<Type> =
            (0..COLUMNS.len()).map(|n| if n < TEXTS { Type::TEXT } else { Type::INT8 }).collect();
        let mut writer = pin!(BinaryCopyInWriter::new(client.copy_in(&copy).await?, &types));
        for row in rows {
            writer.as_mut().write(&rows::values(row)).await?;
        }
        writer.finish().await?;
        if let Some(channel) = link.channel() {
            let tell = link.statement(statements::TELL).await?;
            client.query(&tell, &[&channel, &told::payloads([told::everything()])]).await?;
        }
        client.batch_execute(statements::COMMIT).await
    })
    .await
}

/// Takes those rows that nothing is in the way of and that the server can hold; gives their
/// ids.
async fn merge(link: &Link, rows: &[Row]) -> Result<HashSet<String>, Trouble> {
    let (mut stored, mut parts) = (HashSet::new(), parts(rows));
    while let Some(part) = parts.pop() {
        match insert(link, part).await {
            Ok(ids) => stored.extend(ids),
            // One that cannot be held takes the others down; by itself it is refused.
            Err(trouble) if trouble.verdict() == Verdict::Data => {
                if part.len() > 1 {
                    let (first, rest) = part.split_at(part.len() / 2);
                    parts.extend([rest, first]);
                }
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(stored)
}

/// As many rows in each as one insert takes; the first part is the last.
fn parts(mut rows: &[Row]) -> Vec<&[Row]> {
    let mut parts = Vec::new();
    while !rows.is_empty() {
        let mut bytes = 0;
        let fitting = rows.iter().take_while(|row| {
            let fits = bytes < MAX_BYTES;
            bytes += rows::size(row);
            fits
        });
        let (part, rest) = rows.split_at(fitting.count());
        parts.push(part);
        rows = rest;
    }
    parts.reverse();
    parts
}

async fn insert(link: &Link, rows: &[Row]) -> Result<Vec<String>, Trouble> {
    let arrays = Arrays::of(rows.iter());
    let mut values: Vec<&(dyn ToSql + Sync)> = arrays.values();
    let (channel, payloads) = (link.channel(), told::payloads([told::everything()]));
    let sql = match &channel {
        None => &statements::INSERT.quiet,
        Some(channel) => {
            values.extend([channel as &(dyn ToSql + Sync), &payloads]);
            &statements::INSERT.telling
        }
    };
    let steps: [(&str, Values<'_>); 1] = [(sql, &values)];
    let answers = link.transaction(&steps, LONG).await?;
    Ok(answers.iter().flat_map(|answer| &answer.rows).map(|row| row.get(0)).collect())
}

/// Looks at what was in the way of the others. What cannot be read is another record.
async fn compare(
    link: &Link,
    records: &[Arc<Credential>],
    rows: &[Row],
    stored: &HashSet<String>,
) -> Result<Vec<Loaded>, Trouble> {
    let is_stored = |row: &Row| stored.contains(&row.id);
    let asked: Vec<&str> = rows.iter().filter(|row| !is_stored(row)).map(|row| &*row.id).collect();
    let mut there: HashMap<CredentialId, bool> = HashMap::new();
    let by_id: HashMap<&CredentialId, &Arc<Credential>> =
        records.iter().map(|record| (&record.id, record)).collect();
    for ids in asked.chunks(COMPARED) {
        for record in readable(link, ids).await?.iter().filter_map(|row| rows::read(row).ok()) {
            let same = by_id.get(&record.id).is_some_and(|loaded| ***loaded == record);
            there.insert(record.id, same);
        }
    }
    let loaded = records.iter().zip(rows).map(|(record, row)| match there.get(&record.id) {
        _ if is_stored(row) => Loaded::Stored,
        Some(true) => Loaded::AlreadyThere,
        Some(false) | None => Loaded::Refused,
    });
    Ok(loaded.collect())
}

/// The rows with these ids, but for those that are damaged on the server's disk.
async fn readable(link: &Link, ids: &[&str]) -> Result<Vec<tokio_postgres::Row>, Trouble> {
    match link.query(&statements::BY_IDS, &[&ids]).await {
        Err(trouble) if trouble.is_damage() => {}
        result => return result,
    }
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        match link.query(&statements::BY_ID, &[id]).await {
            Err(trouble) if trouble.is_damage() => {}
            found => rows.extend(found?),
        }
    }
    Ok(rows)
}
