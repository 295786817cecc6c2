//! When keys were last used, kept in their rows.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};

use super::SqliteBackend;
use super::error::{CorruptRow, read_failed};
use super::write::Write;
use crate::backend::BackendError;
use crate::domain::CredentialId;
use crate::usage::{UsageError, UsageLog, whole_seconds};

pub(super) const LAST_USED: &str =
    "SELECT last_used FROM credentials WHERE id = ? AND last_used IS NOT NULL";

/// Uses of keys that are not there are ignored, and those of deleted keys are gone
/// with them. A report is committed with the other writes that wait.
#[async_trait]
impl UsageLog for SqliteBackend {
    async fn note(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        let uses = uses.iter().map(|(id, time)| (id.as_str().into(), seconds(*time))).collect();
        self.writer.write(Write::Note { uses }).await.map(drop).map_err(UsageError::new)
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        let ids = ids.to_vec();
        // As for records: one is looked up here, many on another thread.
        if ids.len() == 1
            && let Some(found) = self.readers.at_once(|connection| find(connection, &ids))
        {
            return Ok(found);
        }
        let found = self.readers.run(move |connection| find(connection, &ids)).await;
        found.map_err(UsageError::new)
    }
}

fn find(
    connection: &Connection,
    ids: &[CredentialId],
) -> Result<HashMap<CredentialId, SystemTime>, BackendError> {
    let mut statement = connection.prepare_cached(LAST_USED).map_err(read_failed)?;
    let mut found = HashMap::with_capacity(ids.len());
    for id in ids {
        let seconds = statement.query_row([id.as_str()], |row| row.get(0)).optional();
        if let Some(seconds) = seconds.map_err(read_failed)? {
            let time = from_seconds(seconds).ok_or_else(|| corrupt(id))?;
            found.insert(id.clone(), time);
        }
    }
    Ok(found)
}

fn seconds(time: SystemTime) -> i64 {
    whole_seconds(time).try_into().unwrap_or(i64::MAX)
}

fn from_seconds(seconds: i64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds.try_into().ok()?))
}

fn corrupt(id: &CredentialId) -> BackendError {
    let id = id.as_str().into();
    BackendError::Corrupt(Box::new(CorruptRow { id, column: "last_used" }))
}
