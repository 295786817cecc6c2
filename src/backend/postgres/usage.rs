//! When keys were last used, kept in their rows.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use tokio_postgres::Row;

use super::PostgresBackend;
use super::error::CorruptRow;
use super::reads::A_LIST;
use super::statements::LAST_USED;
use super::text::{original, stored};
use super::trouble::Trouble;
use super::write::Write;
use crate::backend::BackendError;
use crate::domain::CredentialId;
use crate::usage::{UsageError, UsageLog, whole_seconds};

/// Uses of keys that are not there are ignored, and those of deleted keys are gone
/// with them. Reports that come at the same time are written together.
#[async_trait]
impl UsageLog for PostgresBackend {
    async fn note(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        let uses = uses.iter().map(|(id, time)| (stored(id.as_str()).into(), seconds(*time)));
        let write = Write::Note { uses: uses.collect() };
        self.write(write).await.map(drop).map_err(UsageError::new)
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        let ids: Vec<String> = ids.iter().map(|id| stored(id.as_str()).into()).collect();
        let rows = self.reads().query(LAST_USED, vec![Box::new(ids)], A_LIST).await;
        let rows = rows.map_err(Trouble::into_backend_error).map_err(UsageError::new)?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(UsageError::new)
    }
}

fn read(row: &Row) -> Result<(CredentialId, SystemTime), BackendError> {
    let (id, seconds): (&str, i64) = (row.get(0), row.get(1));
    let time = from_seconds(seconds).ok_or_else(|| corrupt(id, "last_used"))?;
    let id = original(id).ok_or_else(|| corrupt(id, "id"))?;
    Ok((CredentialId::from_stored(id), time))
}

fn seconds(time: SystemTime) -> i64 {
    whole_seconds(time).try_into().unwrap_or(i64::MAX)
}

fn from_seconds(seconds: i64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds.try_into().ok()?))
}

fn corrupt(id: &str, column: &'static str) -> BackendError {
    BackendError::Corrupt(Box::new(CorruptRow { id: id.into(), column }))
}
