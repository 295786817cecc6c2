//! Tests the file of `SqliteBackend`: its mode, what is rejected, and what survives.

use std::{fmt::Write as _, path::PathBuf};

use tempfile::TempDir;
use test_support::{child_process, damaged_list, records};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, sqlite::SqliteBackend},
    domain::{Credential, Quota},
};

mod contention;
mod damaged;
mod disk;
mod exposed;
mod fields;
mod files;
mod moving;
mod processes;
mod quotas;
mod replaced;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    (folder, path)
}

/// A key pair of this user.
fn pair(user: &str, key: &str) -> Credential {
    records::pair(user, key, &format!("secret of {key}"))
}

async fn insert(backend: &SqliteBackend, credential: &Credential) -> Result<(), BackendError> {
    backend.insert(&credential.clone().into(), Quota::Unlimited).await
}

async fn is_stored(backend: &SqliteBackend, credential: &Credential) -> bool {
    backend.get(&credential.id).await.unwrap().is_some_and(|found| *found == *credential)
}

/// Returns everything that an error prints, including its sources.
fn full_text(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, " {error} {error:?}");
        source = error.source();
    }
    text
}
