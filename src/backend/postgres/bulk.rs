//! Bulk loads.
//!
//! New rows are stored with `COPY`, which is the fastest way. If one of the rows cannot be
//! stored, the copy is rolled back. The rows are then inserted, except those that are in
//! conflict with stored ones.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Semaphore, time::sleep};
use tokio_postgres::{
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use crate::backend::row::{COLUMNS, Row};
use crate::backend::{BackendError, contract::Loaded};
use crate::domain::{Credential, CredentialId};

use super::connector::{Connector, Role};
use super::error::{PostgresError, Verdict, backoff};
use super::notify;
use super::rows::{self, Arrays};
use super::session::{LONG_FACTOR, Session, Values, join_either};
use super::statements::{self, TEXTS};

/// How many loads run at once; further ones wait.
const MAX_LOADS: usize = 4;

/// Approximate size of one insert, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// How many stored records are read at once to compare them with loaded ones.
const COMPARE_CHUNK: usize = 500;

const MAX_ATTEMPTS: u32 = 5;

/// The sessions that load, opened on demand and kept.
#[derive(Debug)]
pub(super) struct BulkLoader {
    connector: Arc<Connector>,
    permits: Semaphore,
    idle: Mutex<Vec<Session>>,
}

impl BulkLoader {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, permits: Semaphore::new(MAX_LOADS), idle: Mutex::default() }
    }

    /// Loads records. Those with the same id are loaded one after the other.
    pub(super) async fn load(
        &self,
        records: &[Arc<Credential>],
    ) -> Result<Vec<Loaded>, BackendError> {
        let mut ids = HashSet::new();
        let (mut first, repeated): (Vec<usize>, Vec<usize>) =
            (0..records.len()).partition(|n| ids.insert(&records[*n].id));
        // All loads lock in one order, so that no two deadlock.
        first.sort_unstable_by_key(|n| records[*n].id.as_str());
        let mut parts = vec![first];
        parts.extend(repeated.into_iter().map(|n| vec![n]));
        let mut loaded = vec![Loaded::Refused; records.len()];
        for part in parts {
            let records: Vec<_> = part.iter().map(|n| Arc::clone(&records[*n])).collect();
            let results = self.load_distinct(&records).await?;
            part.into_iter().zip(results).for_each(|(n, result)| loaded[n] = result);
        }
        Ok(loaded)
    }

    /// Loads records of different ids.
    async fn load_distinct(
        &self,
        records: &[Arc<Credential>],
    ) -> Result<Vec<Loaded>, BackendError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|_| PostgresError::ShutDown.into_backend_error())?;
        let rows: Vec<Row> = records.iter().map(|record| rows::row_of(record)).collect();
        let mut attempt = 1;
        loop {
            let session = self.session().await.map_err(PostgresError::into_backend_error)?;
            let mut loaded = Err(PostgresError::OutcomeUnknown);
            let loading = async { loaded = load(&session, records, &rows).await };
            // A load into an old primary would be lost.
            join_either(loading, session.timeline().superseded()).await;
            let error = match loaded {
                // A session is kept only after a load that completed.
                Ok(loaded) => {
                    self.idle().push(session);
                    return Ok(loaded);
                }
                Err(error) => error,
            };
            let can_retry = matches!(error.verdict(), Verdict::Conflict | Verdict::Stale);
            if attempt == MAX_ATTEMPTS || !can_retry {
                return Err(error.into_backend_error());
            }
            sleep(backoff(attempt)).await;
            attempt += 1;
        }
    }

    async fn session(&self) -> Result<Session, PostgresError> {
        while let Some(session) = self.idle().pop() {
            if !session.is_closed() {
                return Ok(session);
            }
        }
        let opened = self.connector.open(Role::Write).await;
        let session = opened.map(|(session, _)| session);
        session.map_err(|error| PostgresError::Disconnected(Arc::new(error)))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn load(
    session: &Session,
    records: &[Arc<Credential>],
    rows: &[Row],
) -> Result<Vec<Loaded>, PostgresError> {
    match copy(session, rows).await {
        Ok(()) => return Ok(vec![Loaded::Stored; rows.len()]),
        Err(error) if error.verdict() == Verdict::Data => {}
        Err(error) => return Err(error),
    }
    session
        .with_timeout(
            session.statement_timeout(),
            session.client().batch_execute(statements::ROLLBACK),
        )
        .await?;
    let stored = merge(session, rows).await?;
    compare(session, records, rows, &stored).await
}

/// Stores all rows, or none if one of them cannot be stored.
async fn copy(session: &Session, rows: &[Row]) -> Result<(), PostgresError> {
    let timeout = session.statement_timeout() * LONG_FACTOR;
    session
        .with_timeout(timeout, async {
            let client = session.client();
            let copy = session.statement(&statements::COPY).await?;
            client.batch_execute(&session.begin_long(timeout)).await?;
            let types: Vec<Type> = (0..COLUMNS.len())
                .map(|n| if n < TEXTS { Type::TEXT } else { Type::INT8 })
                .collect();
            let mut writer = pin!(BinaryCopyInWriter::new(client.copy_in(&copy).await?, &types));
            for row in rows {
                writer.as_mut().write(&rows::values(row)).await?;
            }
            writer.finish().await?;
            if let Some(notify_channel) = session.notify_channel() {
                let notify = session.statement(statements::NOTIFY).await?;
                client
                    .query(&notify, &[&notify_channel, &notify::payloads([notify::everything()])])
                    .await?;
            }
            client.batch_execute(statements::COMMIT).await
        })
        .await
}

/// Stores the rows that are not in conflict with stored ones and that the server accepts.
/// Returns their ids.
async fn merge(session: &Session, rows: &[Row]) -> Result<HashSet<String>, PostgresError> {
    let (mut stored, mut parts) = (HashSet::new(), parts(rows));
    while let Some(part) = parts.pop() {
        match insert(session, part).await {
            Ok(ids) => stored.extend(ids),
            // A row that cannot be stored fails the whole part; alone it is refused.
            Err(error) if error.verdict() == Verdict::Data => {
                if part.len() > 1 {
                    let (first, rest) = part.split_at(part.len() / 2);
                    parts.extend([rest, first]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(stored)
}

/// Splits rows into parts of one insert each, in reverse order.
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

async fn insert(session: &Session, rows: &[Row]) -> Result<Vec<String>, PostgresError> {
    let arrays = Arrays::of(rows.iter());
    let mut values: Vec<&(dyn ToSql + Sync)> = arrays.values();
    let (notify_channel, payloads) =
        (session.notify_channel(), notify::payloads([notify::everything()]));
    let sql = match &notify_channel {
        None => &statements::INSERT.plain,
        Some(notify_channel) => {
            values.extend([notify_channel as &(dyn ToSql + Sync), &payloads]);
            &statements::INSERT.notifying
        }
    };
    let steps: [(&str, Values<'_>); 1] = [(sql, &values)];
    let answers = session.transaction(&steps, LONG_FACTOR).await?;
    Ok(answers.iter().flat_map(|answer| &answer.rows).map(|row| row.get(0)).collect())
}

/// Compares the rows that were not stored with the stored ones. A stored record that cannot be
/// read counts as a different one.
async fn compare(
    session: &Session,
    records: &[Arc<Credential>],
    rows: &[Row],
    stored: &HashSet<String>,
) -> Result<Vec<Loaded>, PostgresError> {
    let is_stored = |row: &Row| stored.contains(&row.id);
    let missing: Vec<&str> =
        rows.iter().filter(|row| !is_stored(row)).map(|row| &*row.id).collect();
    let mut is_same: HashMap<CredentialId, bool> = HashMap::new();
    let by_id: HashMap<&CredentialId, &Arc<Credential>> =
        records.iter().map(|record| (&record.id, record)).collect();
    for ids in missing.chunks(COMPARE_CHUNK) {
        for record in readable(session, ids).await?.iter().filter_map(|row| rows::read(row).ok()) {
            let same = by_id.get(&record.id).is_some_and(|loaded| ***loaded == record);
            is_same.insert(record.id, same);
        }
    }
    let loaded = records.iter().zip(rows).map(|(record, row)| match is_same.get(&record.id) {
        _ if is_stored(row) => Loaded::Stored,
        Some(true) => Loaded::AlreadyThere,
        Some(false) | None => Loaded::Refused,
    });
    Ok(loaded.collect())
}

/// Reads the rows with these ids, except those that are damaged on the server's disk.
async fn readable(
    session: &Session,
    ids: &[&str],
) -> Result<Vec<tokio_postgres::Row>, PostgresError> {
    match session.query(&statements::BY_IDS, &[&ids]).await {
        Err(error) if error.is_damage() => {}
        result => return result,
    }
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        match session.query(&statements::BY_ID, &[id]).await {
            Err(error) if error.is_damage() => {}
            found => rows.extend(found?),
        }
    }
    Ok(rows)
}
