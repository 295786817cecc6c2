//! The schema and its versions.

use tokio::time::sleep;
use tokio_postgres::{Client, error::SqlState};

use super::error::open_failed;
use super::line::pause;
use super::statements;
use crate::backend::{OpenError, OpenErrorKind};

/// What brings a store from one version to the next. Stores out there have run these:
/// add, never change.
const MIGRATIONS: [&str; 2] =
    [include_str!("migrations/0001_credentials.sql"), include_str!("migrations/0002_root_key.sql")];

/// The newest version.
const LATEST: i64 = 2;

/// How often to try what another server may be doing at the same time.
const TRIES: u32 = 20;

/// Brings a database to the newest schema, or refuses it before it is touched: also one
/// without a store, if that must exist.
///
/// Servers that start at once queue for the one row of `credential_store`, and who
/// comes second finds the work done.
pub(super) async fn migrate(client: &Client, existing: bool) -> Result<(), OpenError> {
    check_encoding(client).await?;
    for _ in 1..TRIES {
        match migrate_all(client, existing).await {
            Err(Step::Again(error)) => {
                tracing::debug!(%error, "another server may be migrating the store");
                // Whatever was begun, so that the next try starts afresh.
                let _ = client.batch_execute(statements::ROLLBACK).await;
                sleep(pause(3)).await;
            }
            Err(Step::Failed(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    migrate_all(client, existing).await.map_err(|step| match step {
        Step::Again(error) => open_failed(error),
        Step::Failed(error) => error,
    })
}

/// Refuses a store that is not of this release's schema.
pub(super) async fn check(client: &Client) -> Result<(), OpenError> {
    let row = client.query_opt(statements::VERSION, &[]).await.map_err(open_failed)?;
    let version = row.as_ref().map(|row| row.get(0));
    match version {
        Some(LATEST) => Ok(()),
        Some(version) => Err(refused(version)),
        None => Err(OpenError::new(OpenErrorKind::Corrupt, "the store has lost its version")),
    }
}

/// Why it did not come to an end.
enum Step {
    /// Another transaction may have been in the way.
    Again(tokio_postgres::Error),
    Failed(OpenError),
}

impl From<tokio_postgres::Error> for Step {
    fn from(error: tokio_postgres::Error) -> Self {
        // When two make a table at once, one of them hears of it as a duplicate in the
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
            Some(code) if races.contains(&code) => Self::Again(error),
            _ => Self::Failed(open_failed(error)),
        }
    }
}

async fn migrate_all(client: &Client, existing: bool) -> Result<(), Step> {
    let tables = client.query(statements::TABLES, &[]).await?;
    let tables: Vec<&str> = tables.iter().map(|row| row.get(0)).collect();
    if !tables.contains(&"credential_store") {
        if !tables.is_empty() {
            let what = "the database has a table `credentials` that is another application's";
            return Err(Step::Failed(OpenError::new(OpenErrorKind::Foreign, what)));
        }
        if existing {
            let what = "the database holds no store of credentials";
            return Err(Step::Failed(OpenError::new(OpenErrorKind::NotFound, what)));
        }
        client.batch_execute(statements::CREATE_STORE).await?;
    }
    // Without a lock first: a user who may not write it needs to find it done only.
    let mut version = version(client, statements::VERSION).await?;
    if version.is_none() {
        client.batch_execute(statements::FIRST_VERSION).await?;
        version = Some(0);
    }
    while version != Some(LATEST) {
        version = migrate_once(client).await?;
    }
    Ok(())
}

/// Applies the next migration, if another server has not done it meanwhile; gives the
/// version after it.
async fn migrate_once(client: &Client) -> Result<Option<i64>, Step> {
    client.batch_execute(statements::BEGIN).await?;
    let version = version(client, statements::LOCKED_VERSION).await?.unwrap_or(0);
    let next = usize::try_from(version).ok().filter(|_| version < LATEST);
    let Some(migration) = next.and_then(|next| MIGRATIONS.get(next)) else {
        client.batch_execute(statements::ROLLBACK).await?;
        return if version == LATEST {
            Ok(Some(version))
        } else {
            Err(Step::Failed(refused(version)))
        };
    };
    client.batch_execute(migration).await?;
    client.batch_execute(&statements::set_version(version + 1)).await?;
    client.batch_execute(statements::COMMIT).await?;
    tracing::info!(version = version + 1, "migrated the credential store");
    Ok(Some(version + 1))
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
    let what = format!("the database has the encoding {encoding}, and the store needs UTF8");
    Err(OpenError::new(OpenErrorKind::Foreign, what))
}

fn refused(version: i64) -> OpenError {
    if version > LATEST {
        let what = format!(
            "the store has schema version {version}, and this release knows none above {LATEST}"
        );
        return OpenError::new(OpenErrorKind::Newer, what);
    }
    let what = format!("the store is not of the current schema, but of version {version}");
    OpenError::new(OpenErrorKind::Corrupt, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_that_after_all_migrations() {
        assert_eq!(usize::try_from(LATEST), Ok(MIGRATIONS.len()));
    }
}
