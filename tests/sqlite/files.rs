//! The mode of files, files that are rejected, and files that are migrated.

use std::{
    error::Error as _,
    fs,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use rusqlite::Connection;
use test_support::records::rotation;
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, OpenErrorKind, Order, expires_before,
        sqlite::SqliteBackend,
    },
    domain::{Delegation, ProjectId, Quota, Slot, Status, UserId},
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
fn sqlite_is_built_with_the_flags_of_this_repository() {
    let connection = Connection::open_in_memory().unwrap();
    let sql = "SELECT count(*) FROM pragma_compile_options WHERE compile_options = ?";
    // The flag for `fdatasync`, which is not listed, is set in the same place.
    let is_set = connection.query_row(sql, ["DEFAULT_MEMSTATUS=0"], |row| row.get(0));
    assert_eq!(is_set, Ok(true), "LIBSQLITE3_FLAGS of .cargo/config.toml has no effect");
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
    assert_eq!(version, 5);
}

#[tokio::test]
async fn files_of_earlier_versions_are_migrated_and_keep_their_records() {
    for version in 1..=4 {
        migrate_from(version).await;
    }
}

const MIGRATIONS: [&str; 4] = [
    include_str!("../../src/backend/sqlite/migrations/0001_credentials.sql"),
    include_str!("../../src/backend/sqlite/migrations/0002_last_used.sql"),
    include_str!("../../src/backend/sqlite/migrations/0003_root_key.sql"),
    include_str!("../../src/backend/sqlite/migrations/0004_terms.sql"),
];

async fn migrate_from(earlier: usize) {
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
    for migration in &MIGRATIONS[..earlier] {
        old.execute_batch(migration).unwrap();
    }
    let columns = "kind, user_id, project_id, slot, access_key, material, status, \
        delegation, attributes, created_at, updated_at, version";
    old.execute("ATTACH ? AS newer", [newer.to_str().unwrap()]).unwrap();
    let copy = format!(
        "INSERT INTO credentials (id, {columns}) SELECT name, {columns} FROM newer.records; \
         PRAGMA application_id = {}; PRAGMA user_version = {earlier}",
        0x7443_7264
    );
    old.execute_batch(&copy).unwrap();
    drop(old);

    let backend = SqliteBackend::open(&path).unwrap();
    let version = || {
        let other = Connection::open(&path).unwrap();
        other.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!(version(), 5);
    let all = backend.list(&ListQuery::new(Order::Key)).await.unwrap();
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
    assert_eq!(version(), 5);
    let recorded = backend.last_used(&[used.0.clone(), records[8].id.clone()]).await.unwrap();
    assert_eq!(recorded, [used.clone()].into());
    assert!(backend.delete(&used.0, changed.version).await.unwrap());
    // Records without terms have no expiry; one of them gets it.
    let mut query = ListQuery::new(Order::ExpiresAt);
    assert!(backend.list(&query).await.unwrap().credentials.is_empty());
    let (new, retired) = rotation(&records[6]);
    let states = (Arc::new(new), Arc::new(retired));
    let rotated = backend.rotate(&states.0, Quota::AtMost(99), &states.1, records[6].version);
    assert!(rotated.await.unwrap());
    query.before = Some(expires_before(states.1.terms.expires_at().unwrap()));
    assert!(backend.list(&query).await.unwrap().credentials.is_empty());
    query.before = None;
    assert_eq!(backend.list(&query).await.unwrap().credentials, [states.1]);
    assert_eq!(backend.purge_user(&changed.user_id).await.unwrap(), 99);
}

/// Earlier releases know two words for the status. A record with limits that they do not know has
/// another word, so that they reject the record.
#[tokio::test]
async fn status_of_a_record_with_limits_is_unknown_to_earlier_releases() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    for limit in ["expiry", "boundary", "none"] {
        for status in [Status::Active, Status::Inactive] {
            let mut record = pair("bob", &format!("{limit} {status:?}"));
            record.status = status;
            record.terms.set_name(Some("a name is not a limit".into())).unwrap();
            match limit {
                "expiry" => record.terms.set_expires_at(Some(UNIX_EPOCH)),
                "boundary" => record.terms.set_boundary(Some("{}".into())),
                _ => {}
            }
            insert(&backend, &record).await.unwrap();
            let other = Connection::open(&path).unwrap();
            let sql = "SELECT status FROM records WHERE name = ?";
            let word: String =
                other.query_row(sql, [record.id.as_str()], |row| row.get(0)).unwrap();
            assert_eq!(Status::from_word(&word).is_some(), limit == "none", "{limit}: {word}");
            assert!(is_stored(&backend, &record).await);
            // A word without the limit does not fit the record either.
            let plain = "UPDATE records SET status = 'Active' WHERE name = ?";
            other.execute(plain, [record.id.as_str()]).unwrap();
            let read = backend.get(&record.id).await;
            assert_eq!(matches!(read, Err(BackendError::Corrupt(_))), limit != "none", "{limit}");
        }
    }
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
    assert!(text.contains("version 97,") && text.contains("versions up to 5"), "{text}");
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
