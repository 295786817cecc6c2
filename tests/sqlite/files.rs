//! The mode of files, files that are rejected, and files that are migrated.

use std::{
    error::Error as _,
    fs,
    os::unix::fs::PermissionsExt,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use rusqlite::Connection;
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, OpenErrorKind, Order, sqlite::SqliteBackend,
    },
    domain::{Delegation, ProjectId, Slot, UserId},
    usage::UsageLog as _,
};

use crate::{folder, insert, is_stored, pair};

#[tokio::test]
async fn files_are_readable_by_their_owner_only() {
    let (folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    insert(&backend, &pair("bob", "key")).await.unwrap();

    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["credentials.db", "credentials.db-shm", "credentials.db-wal"]);
}

#[tokio::test]
async fn mode_of_an_existing_file_is_unchanged() {
    let (_folder, path) = folder();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let backend = SqliteBackend::open(&path).unwrap();
    insert(&backend, &pair("bob", "key")).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
}

#[tokio::test]
async fn closed_store_is_one_file() {
    let (folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let record = pair("bob", "key");
    insert(&backend, &record).await.unwrap();
    assert!(is_stored(&backend.clone(), &record).await);
    drop(backend);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn missing_folder_is_reported() {
    let (_folder, path) = folder();
    let error = SqliteBackend::open(path.join("deeper.db")).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Unavailable);
    assert!(error.to_string().contains("folder does not exist"), "{error}");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn empty_file_becomes_a_store() {
    let (_folder, path) = folder();
    fs::write(&path, "").unwrap();
    let backend = SqliteBackend::open(&path).unwrap();
    let record = pair("bob", "key");
    insert(&backend, &record).await.unwrap();
    assert!(is_stored(&backend, &record).await);
    let other = Connection::open(&path).unwrap();
    let version: u32 = other.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 3);
}

#[tokio::test]
async fn file_of_the_first_version_is_migrated_and_keeps_its_records() {
    let (folder, path) = folder();
    let newer = folder.path().join("newer.db");
    let mut records: Vec<_> = (0..100).map(|n| pair("bob", &format!("key-{n}"))).collect();
    // Earlier releases did not mark root keys.
    for (number, user) in [(8, "demo"), (9, "bob")] {
        records[number].user_id = UserId::from_stored(user);
        records[number].project_id = Some(ProjectId::from_stored("demo"));
    }
    records[8].root_key = None;
    records[7].slot = Some(Slot::S3);
    records[7].delegation = Some(Delegation::Other);
    let backend = SqliteBackend::open(&newer).unwrap();
    for record in &records {
        insert(&backend, record).await.unwrap();
    }
    drop(backend);
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../../src/backend/sqlite/migrations/0001_credentials.sql"))
        .unwrap();
    let columns = "id, kind, user_id, project_id, slot, access_key, material, status, \
        delegation, attributes, created_at, updated_at, version";
    old.execute("ATTACH ? AS newer", [newer.to_str().unwrap()]).unwrap();
    let copy = format!(
        "INSERT INTO credentials ({columns}) SELECT {columns} FROM newer.credentials; \
         PRAGMA application_id = {}; PRAGMA user_version = 1",
        0x7443_7264
    );
    old.execute_batch(&copy).unwrap();
    drop(old);

    let backend = SqliteBackend::open(&path).unwrap();
    let version = || {
        let other = Connection::open(&path).unwrap();
        other.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!(version(), 3);
    let all = backend.list(&ListQuery::new(Order::Id)).await.unwrap();
    assert_eq!(all.credentials.len(), records.len());
    for record in &records {
        assert!(is_stored(&backend, record).await);
    }
    assert!(records[8].is_root_key() && !records[9].is_root_key());
    // Its keys can be used, changed and deleted like others.
    let used = (records[7].id.clone(), UNIX_EPOCH + Duration::from_secs(1_790_000_000));
    backend.record(std::slice::from_ref(&used)).await.unwrap();
    let changed = records[7].clone().touched(used.1);
    assert!(backend.update(&changed.clone().into(), records[7].version).await.unwrap());
    drop(backend);
    let backend = SqliteBackend::open(&path).unwrap();
    assert_eq!(version(), 3);
    let recorded = backend.last_used(&[used.0.clone(), records[8].id.clone()]).await.unwrap();
    assert_eq!(recorded, [used.clone()].into());
    assert!(backend.delete(&used.0, changed.version).await.unwrap());
    assert_eq!(backend.purge_user(&changed.user_id).await.unwrap(), 98);
}

#[test]
fn file_of_a_later_release_is_rejected_and_unchanged() {
    let (_folder, path) = folder();
    drop(SqliteBackend::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 97).unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();

    let error = SqliteBackend::open(&path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Newer);
    let text = error.to_string();
    assert!(text.contains("version 97,") && text.contains("versions up to 3"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn file_of_another_application_is_rejected_and_unchanged() {
    let (folder, _) = folder();
    fs::write(folder.path().join("text"), "my diary is not a database ".repeat(99)).unwrap();
    for (name, sql) in [
        ("tables", "CREATE TABLE credentials (id)"),
        ("application", "PRAGMA application_id = 7; PRAGMA user_version = 1"),
        ("version", "PRAGMA user_version = 1"),
    ] {
        Connection::open(folder.path().join(name)).unwrap().execute_batch(sql).unwrap();
    }
    for name in ["text", "tables", "application", "version"] {
        let path = folder.path().join(name);
        let before = fs::read(&path).unwrap();
        let error = SqliteBackend::open(&path).unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::Foreign, "{name}: {error}");
        assert_eq!(fs::read(&path).unwrap(), before, "{name}");
    }
}

#[test]
fn locked_new_file_is_reported_after_a_wait() {
    let (_folder, path) = folder();
    fs::write(&path, "").unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(SqliteBackend::open(&path).unwrap_err().kind(), OpenErrorKind::Busy);

    let opener = thread::spawn(move || SqliteBackend::open(path));
    // Lets the opener run into the lock; if the opener is late, it finds no lock.
    thread::sleep(Duration::from_millis(200));
    drop(other);
    opener.join().unwrap().unwrap();
}

#[tokio::test]
async fn many_threads_may_open_the_same_new_file_at_once() {
    for _ in 0..5 {
        let (_folder, path) = folder();
        let openers: Vec<_> = (0..16)
            .map(|_| {
                let path = path.clone();
                thread::spawn(move || SqliteBackend::open(path).unwrap())
            })
            .collect();
        let backends: Vec<_> = openers.into_iter().map(|o| o.join().unwrap()).collect();
        let record = pair("bob", "key");
        insert(&backends[0], &record).await.unwrap();
        for backend in &backends {
            assert!(is_stored(backend, &record).await);
        }
    }
}

#[tokio::test]
async fn two_handles_of_one_file_see_each_others_writes() {
    let (_folder, path) = folder();
    let [a, b] = [(); 2].map(|()| SqliteBackend::open(&path).unwrap());
    for n in 0..20 {
        let (writer, reader) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let record = pair("bob", &format!("key-{n}"));
        insert(writer, &record).await.unwrap();
        assert!(is_stored(reader, &record).await);
        let again = insert(reader, &record).await.unwrap_err();
        assert!(matches!(again, BackendError::AlreadyExists));
    }
}
