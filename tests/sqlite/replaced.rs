//! A file that is removed or replaced while it is open.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order, sqlite::SqliteBackend},
    domain::Credential,
};

use super::{folder, full_text, insert, is_stored, pair};

const ENDINGS: [&str; 3] = ["", "-wal", "-shm"];

fn with(path: &Path, ending: &str) -> PathBuf {
    format!("{}{ending}", path.display()).into()
}

/// Moves a file and the files next to it.
fn carry(from: &Path, to: &Path) {
    for ending in ENDINGS {
        fs::rename(with(from, ending), with(to, ending)).unwrap();
    }
}

fn is_unavailable<T: std::fmt::Debug>(result: Result<T, BackendError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(!full_text(&error).contains("secret of"), "{error:?}");
}

async fn all_is_unavailable(backend: &SqliteBackend, known: &Credential) {
    is_unavailable(insert(backend, &pair("bob", "meanwhile")).await);
    is_unavailable(backend.get(&known.id).await);
    is_unavailable(backend.list(&ListQuery::new(Order::Key)).await);
    is_unavailable(backend.delete(&known.id, known.version).await);
}

/// Creates another store with this record, and closes it: one file.
async fn store_with(path: &Path, record: &Credential) {
    insert(&SqliteBackend::open(path).unwrap(), record).await.unwrap();
    assert!(!with(path, "-wal").exists());
}

#[tokio::test]
async fn missing_file_is_unavailable_until_it_is_back() {
    let (_folder, path) = folder();
    let away = path.with_file_name("away.db");
    let backend = SqliteBackend::open(&path).unwrap();
    let (before, after) = (pair("bob", "before"), pair("bob", "after"));
    insert(&backend, &before).await.unwrap();
    assert!(is_stored(&backend, &before).await);

    carry(&path, &away);
    for _ in 0..3 {
        all_is_unavailable(&backend, &before).await;
    }
    assert!(!path.exists(), "it was created again");

    carry(&away, &path);
    assert!(is_stored(&backend, &before).await);
    insert(&backend, &after).await.unwrap();
    drop(backend);
    let backend = SqliteBackend::open(&path).unwrap();
    assert!(is_stored(&backend, &before).await && is_stored(&backend, &after).await);
    assert!(!is_stored(&backend, &pair("bob", "meanwhile")).await);
}

#[tokio::test]
async fn copy_replaces_a_removed_file() {
    let (_folder, path) = folder();
    let copy = path.with_file_name("copy.db");
    let backend = SqliteBackend::open(&path).unwrap();
    let (before, after) = (pair("bob", "before"), pair("bob", "after"));
    insert(&backend, &before).await.unwrap();
    let other = Connection::open(&path).unwrap();
    // Such a copy has no write-ahead log.
    other.execute("VACUUM INTO ?", [copy.to_str().unwrap()]).unwrap();
    drop(other);
    for ending in ENDINGS {
        fs::remove_file(with(&path, ending)).unwrap();
    }
    all_is_unavailable(&backend, &before).await;

    fs::copy(&copy, &path).unwrap();
    assert!(is_stored(&backend, &before).await);
    insert(&backend, &after).await.unwrap();
    assert!(is_stored(&backend, &after).await);
    drop(backend);
    let backend = SqliteBackend::open(&path).unwrap();
    assert!(is_stored(&backend, &before).await && is_stored(&backend, &after).await);
}

/// The old file's write-ahead log stays behind, as with a plain `mv`.
#[tokio::test]
async fn replacing_store_is_read_and_written_at_once() {
    for write_first in [false, true] {
        let (_folder, path) = folder();
        let other = path.with_file_name("other.db");
        let backend = SqliteBackend::open(&path).unwrap();
        let revoked: Vec<_> = (0..100).map(|n| pair("bob", &format!("revoked-{n}"))).collect();
        for record in &revoked {
            insert(&backend, record).await.unwrap();
        }
        assert!(is_stored(&backend, &revoked[0]).await);
        let (restored, after) = (pair("bob", "restored"), pair("bob", "after"));
        store_with(&other, &restored).await;
        let kept = path.with_file_name("kept.db");
        fs::hard_link(&path, &kept).unwrap();

        fs::rename(&other, &path).unwrap();
        if write_first {
            insert(&backend, &after).await.unwrap();
        }
        assert!(is_stored(&backend, &restored).await);
        let page = backend.list(&ListQuery::new(Order::Key)).await.unwrap();
        assert_eq!(page.credentials.len(), 1 + usize::from(write_first));
        assert!(backend.get(&revoked[0].id).await.unwrap().is_none());
        if !write_first {
            insert(&backend, &after).await.unwrap();
        }
        assert!(is_stored(&backend, &after).await);
        drop(backend);

        let check: String = Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
        let backend = SqliteBackend::open(&path).unwrap();
        assert!(is_stored(&backend, &restored).await && is_stored(&backend, &after).await);
        // Earlier acknowledged writes are in the old file, wherever it is now.
        let old = SqliteBackend::open(&kept).unwrap();
        for record in &revoked {
            assert!(is_stored(&old, record).await);
        }
    }
}

#[tokio::test]
async fn replacing_file_must_be_a_store_of_a_known_schema() {
    let (_folder, path) = folder();
    let (away, other) = (path.with_file_name("away.db"), path.with_file_name("other.db"));
    let backend = SqliteBackend::open(&path).unwrap();
    let record = pair("bob", "key");
    insert(&backend, &record).await.unwrap();
    for sql in ["PRAGMA application_id = 7", "PRAGMA user_version = 97", ""] {
        fs::write(&other, "").unwrap();
        if !sql.is_empty() {
            store_with(&other, &record).await;
            Connection::open(&other).unwrap().execute_batch(sql).unwrap();
        }
        let before = fs::read(&other).unwrap();
        carry(&path, &away);
        fs::rename(&other, &path).unwrap();
        for _ in 0..2 {
            let error = backend.get(&record.id).await.unwrap_err();
            assert!(matches!(error, BackendError::Corrupt(_)), "{sql}: {error:?}");
            let error = insert(&backend, &pair("bob", "more")).await.unwrap_err();
            assert!(matches!(error, BackendError::Corrupt(_)), "{sql}: {error:?}");
        }
        assert_eq!(fs::read(&path).unwrap(), before, "{sql}");
        for ending in ["-wal", "-shm"] {
            let _ = fs::remove_file(with(&path, ending));
        }
        carry(&away, &path);
        assert!(is_stored(&backend, &record).await, "{sql}");
        insert(&backend, &pair("bob", &format!("after-{}", sql.len()))).await.unwrap();
    }
}

#[tokio::test]
async fn store_without_its_log_accepts_no_writes_and_keeps_its_records() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let record = pair("bob", "key");
    insert(&backend, &record).await.unwrap();
    fs::remove_file(with(&path, "-wal")).unwrap();
    is_unavailable(insert(&backend, &pair("bob", "lost")).await);
    assert!(is_stored(&backend, &record).await);
    drop(backend);

    let backend = SqliteBackend::open(&path).unwrap();
    assert!(is_stored(&backend, &record).await);
    insert(&backend, &pair("bob", "after")).await.unwrap();
}
