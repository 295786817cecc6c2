//! Uses of deleted keys, in the stores that store both.

use std::{path::Path, sync::Arc, time::SystemTime};

use rusqlite::Connection;
use tower_credentials::{
    backend::{CredentialBackend, memory::MemoryBackend, sqlite::SqliteBackend},
    domain::{Credential, ProjectId, Quota, UserId},
    usage::UsageLog,
};

use crate::{at, key};

async fn insert(backend: &impl CredentialBackend, key: &Credential) {
    backend.insert(&Arc::new(key.clone()), Quota::Unlimited).await.unwrap();
}

async fn last_used(log: &impl UsageLog, key: &Credential) -> Option<SystemTime> {
    log.last_used(std::slice::from_ref(&key.id)).await.unwrap().remove(&key.id)
}

/// Deletes and purges used keys, creates them again and finds only the bystander's use.
async fn check_that_a_use_is_deleted_with_its_key(store: &(impl CredentialBackend + UsageLog)) {
    let mut bystander = key("bystander");
    bystander.user_id = UserId::new("amy").unwrap();
    let (deleted, users, mut projects) = (key("deleted"), key("users"), key("projects"));
    projects.user_id = UserId::new("carol").unwrap();
    projects.project_id = Some(ProjectId::new("doomed").unwrap());
    let keys = [&bystander, &deleted, &users, &projects];
    for key in keys {
        insert(store, key).await;
        store.record(&[(key.id.clone(), at(1))]).await.unwrap();
        assert_eq!(last_used(store, key).await, Some(at(1)), "{}", key.id);
    }

    let wrong = deleted.version.next();
    assert!(!store.delete(&deleted.id, wrong).await.unwrap());
    assert_eq!(last_used(store, &deleted).await, Some(at(1)), "it was not deleted");

    assert!(store.delete(&deleted.id, deleted.version).await.unwrap());
    assert_eq!(store.purge_user(&users.user_id).await.unwrap(), 1);
    assert_eq!(store.purge_project(projects.project_id.as_ref().unwrap()).await.unwrap(), 1);
    for key in [&deleted, &users, &projects] {
        assert_eq!(last_used(store, key).await, None, "{}", key.id);
        // A late report finds no key.
        store.record(&[(key.id.clone(), at(2))]).await.unwrap();
        insert(store, key).await;
        assert_eq!(last_used(store, key).await, None, "{}", key.id);
    }
    assert_eq!(last_used(store, &bystander).await, Some(at(1)));
}

#[tokio::test]
async fn memory_store_deletes_a_use_with_its_key() {
    check_that_a_use_is_deleted_with_its_key(&MemoryBackend::default()).await;
}

#[tokio::test]
async fn sqlite_store_deletes_a_use_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    check_that_a_use_is_deleted_with_its_key(&SqliteBackend::open(&path).unwrap()).await;
    // No other table stores it.
    assert_eq!(tables(&path), ["records"]);
}

fn tables(path: &Path) -> Vec<String> {
    let other = Connection::open(path).unwrap();
    let mut tables = other.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn sqlite_store_keeps_a_use_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    let key = key("key");
    let store = SqliteBackend::open(&path).unwrap();
    insert(&store, &key).await;
    store.record(&[(key.id.clone(), at(1))]).await.unwrap();
    drop(store);
    let store = SqliteBackend::open(&path).unwrap();
    assert_eq!(last_used(&store, &key).await, Some(at(1)));
    assert_eq!(*store.get(&key.id).await.unwrap().unwrap(), key, "the record is as it was");
}

#[tokio::test]
async fn sqlite_store_writes_nothing_for_an_older_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    let key = key("key");
    let store = SqliteBackend::open(&path).unwrap();
    insert(&store, &key).await;
    store.record(&[(key.id.clone(), at(1))]).await.unwrap();
    let size = || std::fs::metadata(path.with_extension("db-wal")).unwrap().len();
    let before = size();
    for seconds in [0, 1] {
        store.record(&[(key.id.clone(), at(seconds))]).await.unwrap();
    }
    assert_eq!(size(), before);
}

#[tokio::test]
async fn sqlite_store_returns_an_error_for_an_unreadable_use_and_still_reads_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    let key = key("key");
    let store = SqliteBackend::open(&path).unwrap();
    insert(&store, &key).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("UPDATE records SET last_used = -1").unwrap();
    store.last_used(std::slice::from_ref(&key.id)).await.unwrap_err();
    assert!(store.get(&key.id).await.unwrap().is_some());
}
