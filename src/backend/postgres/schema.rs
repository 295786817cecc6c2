//! The schema and its versions.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::{Client, error::SqlState};

use crate::backend::{OpenError, OpenErrorKind, OpenMode};

use super::error::{backoff, open_failed};

use super::statements;

/// The steps from one version to the next. Deployed stores have run them: add new ones, never
/// change one.
const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_credentials.sql"),
    include_str!("migrations/0002_root_key.sql"),
    include_str!("migrations/0003_terms.sql"),
    MARKERS,
];

/// Builds indexes, which takes a while where records exist.
const MARKERS: &str = include_str!("migrations/0004_markers.sql");
const BEFORE_MARKERS: i64 = 3;

/// The newest version.
const LATEST: i64 = 4;

/// How often to look whether another server has built the indexes.
const BUILD_PAUSE: Duration = Duration::from_millis(500);

const MAX_ATTEMPTS: u32 = 20;

/// Migrates a database to the newest schema. Rejects a database before changing it if it holds
/// something else, or if the mode does not allow that a store exists or is created.
///
/// Servers that start at the same time lock the only row of `credential_store` in turn. All
/// but the first find the migration done.
pub(super) async fn migrate(client: &Client, mode: OpenMode) -> Result<(), OpenError> {
    check_encoding(client).await?;
    // Once: a later attempt finds what an earlier one created.
    if mode == OpenMode::CreateNew && has_store(&tables(client).await.map_err(open_failed)?) {
        let what = "the database already has a credential store";
        return Err(OpenError::new(OpenErrorKind::AlreadyExists, what));
    }
    for _ in 1..MAX_ATTEMPTS {
        match migrate_all(client, mode).await {
            Err(StepError::Conflict(error)) => {
                tracing::debug!(%error, "another server may be migrating the store");
                // Ends the transaction of this attempt, if it has one.
                let _ = client.batch_execute(statements::ROLLBACK).await;
                sleep(backoff(3)).await;
            }
            Err(StepError::Failed(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    migrate_all(client, mode).await.map_err(|error| match error {
        StepError::Conflict(error) => open_failed(error),
        StepError::Failed(error) => error,
    })
}

/// Checks that the store has the schema of this release.
pub(super) async fn check(client: &Client) -> Result<(), OpenError> {
    let row = client.query_opt(statements::VERSION, &[]).await.map_err(open_failed)?;
    let version = row.as_ref().map(|row| row.get(0));
    match version {
        Some(LATEST) => Ok(()),
        Some(version) => Err(wrong_version(version)),
        None => Err(OpenError::new(OpenErrorKind::Corrupt, "the store has no schema version")),
    }
}

/// Why a migration did not complete.
enum StepError {
    /// Another transaction may have interfered; retry.
    Conflict(tokio_postgres::Error),
    Failed(OpenError),
}

impl From<tokio_postgres::Error> for StepError {
    fn from(error: tokio_postgres::Error) -> Self {
        // If two sessions create a table at the same time, one of them gets a duplicate in the
        // engine's own tables.
        let races = [
            &SqlState::DUPLICATE_TABLE,
            &SqlState::DUPLICATE_OBJECT,
            &SqlState::INTERNAL_ERROR,
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::T_R_SERIALIZATION_FAILURE,
            &SqlState::UNIQUE_VIOLATION,
        ];
        match error.code() {
            Some(code) if races.contains(&code) => Self::Conflict(error),
            _ => Self::Failed(open_failed(error)),
        }
    }
}

async fn migrate_all(client: &Client, mode: OpenMode) -> Result<(), StepError> {
    let tables = tables(client).await?;
    if !has_store(&tables) {
        if !tables.is_empty() {
            let what = "the database has a table `credentials` of another application";
            return Err(StepError::Failed(OpenError::new(OpenErrorKind::Foreign, what)));
        }
        if mode == OpenMode::Existing {
            let what = "the database has no credential store";
            return Err(StepError::Failed(OpenError::new(OpenErrorKind::NotFound, what)));
        }
        client.batch_execute(statements::CREATE_STORE).await?;
    }
    // Reads without a lock first: a user without the right to write must pass here.
    let mut version = version(client, statements::VERSION).await?;
    if version.is_none() {
        client.batch_execute(statements::FIRST_VERSION).await?;
        version = Some(0);
    }
    while version != Some(LATEST) {
        if version == Some(BEFORE_MARKERS) {
            build_indexes(client).await?;
        }
        version = migrate_once(client).await?;
    }
    Ok(())
}

/// Builds the indexes of a migration while others write, if records exist. Continues after a
/// build that was interrupted. If another server builds them, waits for it.
async fn build_indexes(client: &Client) -> Result<(), StepError> {
    let is_true = async |sql| client.query_one(sql, &[]).await?.try_get::<_, bool>(0);
    while !is_true(statements::LOCK_BUILD).await? {
        sleep(BUILD_PAUSE).await;
    }
    let built = async {
        if version(client, statements::VERSION).await? != Some(BEFORE_MARKERS) {
            return Ok(());
        }
        for row in client.query(statements::BROKEN_INDEXES, &[]).await? {
            let name: &str = row.try_get(0)?;
            client.batch_execute(&format!("DROP INDEX \"{name}\"")).await?;
        }
        if !is_true(statements::HAS_RECORDS).await? {
            return Ok(());
        }
        tracing::info!("building the indexes of the credential store");
        for statement in statements::concurrent_indexes(MARKERS) {
            client.batch_execute(&statement).await?;
        }
        Ok::<_, tokio_postgres::Error>(())
    };
    let built = built.await;
    is_true(statements::UNLOCK_BUILD).await?;
    Ok(built?)
}

/// Applies the next migration, unless another server has done so. Returns the version after it.
async fn migrate_once(client: &Client) -> Result<Option<i64>, StepError> {
    client.batch_execute(statements::BEGIN).await?;
    let version = version(client, statements::LOCKED_VERSION).await?.unwrap_or(0);
    let next = usize::try_from(version).ok().filter(|_| version < LATEST);
    let Some(migration) = next.and_then(|next| MIGRATIONS.get(next)) else {
        client.batch_execute(statements::ROLLBACK).await?;
        return if version == LATEST {
            Ok(Some(version))
        } else {
            Err(StepError::Failed(wrong_version(version)))
        };
    };
    client.batch_execute(migration).await?;
    client.batch_execute(&statements::set_version(version + 1)).await?;
    client.batch_execute(statements::COMMIT).await?;
    tracing::info!(version = version + 1, "migrated the credential store");
    Ok(Some(version + 1))
}

/// Returns the names of the tables that may be a store's.
async fn tables(client: &Client) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = client.query(statements::TABLES, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn has_store(tables: &[String]) -> bool {
    tables.iter().any(|table| table == "credential_store")
}

async fn version(client: &Client, sql: &str) -> Result<Option<i64>, tokio_postgres::Error> {
    Ok(client.query_opt(sql, &[]).await?.map(|row| row.get(0)))
}

async fn check_encoding(client: &Client) -> Result<(), OpenError> {
    let row = client.query_one(statements::SHOW_ENCODING, &[]).await.map_err(open_failed)?;
    let encoding: &str = row.get(0);
    if encoding.eq_ignore_ascii_case("utf8") || encoding.eq_ignore_ascii_case("utf-8") {
        return Ok(());
    }
    let what = format!("the encoding of the database must be UTF8, is {encoding}");
    Err(OpenError::new(OpenErrorKind::Foreign, what))
}

fn wrong_version(version: i64) -> OpenError {
    if version > LATEST {
        let what =
            format!("the store has schema version {version}; this release supports up to {LATEST}");
        return OpenError::new(OpenErrorKind::Newer, what);
    }
    let what = format!("the store has schema version {version} instead of {LATEST}");
    OpenError::new(OpenErrorKind::Corrupt, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_version_equals_the_number_of_migrations() {
        assert_eq!(usize::try_from(LATEST), Ok(MIGRATIONS.len()));
    }
}
