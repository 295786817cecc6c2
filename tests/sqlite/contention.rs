//! Locks, batches and canceled callers.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, TryRecvError},
    },
    thread,
    time::{Duration, UNIX_EPOCH},
};

use rusqlite::Connection;
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order, sqlite::SqliteBackend},
    domain::{Quota, Version},
};

use crate::{folder, full_text, insert, is_stored, pair};

/// Another program that has the write lock.
fn lock(path: &Path) -> Connection {
    let other = Connection::open(path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    other
}

/// The number of transactions in the write-ahead log: frames that contain the size of the file
/// after a commit (<https://sqlite.org/walformat.html>).
fn commits(path: &Path) -> usize {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let log = fs::read(path.with_extension("db-wal")).unwrap();
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let page = word(8) as usize;
    let salts = log[16..24].to_vec();
    let frames = log[HEADER..].chunks_exact(FRAME_HEADER + page);
    let current = frames.take_while(|frame| frame[8..16] == salts);
    current.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test]
async fn lock_makes_writes_unavailable_and_reads_continue() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let (first, second) = (pair("bob", "first"), pair("bob", "second"));
    insert(&backend, &first).await.unwrap();

    let other = lock(&path);
    let error = insert(&backend, &second).await.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(is_stored(&backend, &first).await);
    assert!(!full_text(&error).contains("secret of"), "{error:?}");

    drop(other);
    assert!(!is_stored(&backend, &second).await);
    insert(&backend, &second).await.unwrap();
    assert!(is_stored(&backend, &second).await);
}

#[tokio::test]
async fn broken_store_works_again_after_it_is_fixed() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let (first, second) = (pair("bob", "first"), pair("bob", "second"));
    insert(&backend, &first).await.unwrap();

    let other = Connection::open(&path).unwrap();
    other.execute_batch("ALTER TABLE records RENAME TO away").unwrap();
    let error = insert(&backend, &second).await.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(!full_text(&error).contains("secret of"), "{error:?}");
    let error = backend.get(&first.id).await.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");

    other.execute_batch("ALTER TABLE away RENAME TO records").unwrap();
    insert(&backend, &second).await.unwrap();
    assert!(is_stored(&backend, &first).await && is_stored(&backend, &second).await);
}

#[tokio::test]
async fn waiting_writes_are_committed_together() {
    const WRITES: usize = 64;
    let (_folder, path) = folder();
    let backend = Arc::new(SqliteBackend::open(&path).unwrap());
    let other = lock(&path);
    let before = commits(&path);
    let writes: Vec<_> = (0..WRITES)
        .map(|n| {
            let backend = Arc::clone(&backend);
            let record = pair("bob", &format!("key-{n}"));
            tokio::spawn(async move { insert(&backend, &record).await })
        })
        .collect();
    // All tasks run on this one thread, and have queued their writes after this.
    tokio::task::yield_now().await;
    drop(other);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let commits = commits(&path) - before;
    assert!((1..=2).contains(&commits), "{WRITES} writes took {commits} commits");
}

#[tokio::test]
async fn refused_write_does_not_undo_the_others() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let taken = pair("amy", "taken");
    insert(&backend, &taken).await.unwrap();
    let (good, late) = (pair("bob", "good"), pair("bob", "late"));
    let mut duplicate = pair("bob", "duplicate");
    duplicate.access_key.clone_from(&taken.access_key);
    let over = pair("bob", "over").into();
    let stale = taken.clone().touched(UNIX_EPOCH).into();
    let wrong = Version::from_stored(taken.version.get() ^ 1);

    let other = lock(&path);
    let before = commits(&path);
    let results = async {
        tokio::join!(
            insert(&backend, &good),
            insert(&backend, &duplicate),
            backend.insert(&over, Quota::AtMost(1)),
            backend.update(&stale, wrong),
            backend.delete(&taken.id, wrong),
            insert(&backend, &late),
        )
    };
    let unlock = async move { drop(other) };
    let ((first, taken_key, full, update, delete, last), ()) = tokio::join!(results, unlock);

    assert!(first.is_ok() && last.is_ok());
    assert!(matches!(taken_key, Err(BackendError::AlreadyExists)), "{taken_key:?}");
    assert!(matches!(full, Err(BackendError::QuotaExceeded)), "{full:?}");
    assert!(matches!((update, delete), (Ok(false), Ok(false))));
    assert!(commits(&path) - before <= 2);
    for record in [&taken, &good, &late] {
        assert!(is_stored(&backend, record).await);
    }
    let all = backend.list(&ListQuery::new(Order::Key)).await.unwrap();
    assert_eq!(all.credentials.len(), 3);
}

#[tokio::test]
async fn canceled_write_is_complete_and_closing_waits_for_it() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let record = pair("bob", "key");
    let other = lock(&path);
    {
        let mut write = Box::pin(insert(&backend, &record));
        let queued = tokio::time::timeout(Duration::ZERO, &mut write).await;
        assert!(queued.is_err(), "the lock was not respected");
    }
    drop(other);
    drop(backend);
    assert!(is_stored(&SqliteBackend::open(&path).unwrap(), &record).await);
}

#[tokio::test]
async fn writer_gets_the_lock_from_a_program_that_seldom_releases_it() {
    const WRITES: usize = 20;
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        let other = Connection::open(&path).unwrap();
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            thread::sleep(Duration::from_millis(5));
            other.execute_batch("ROLLBACK").unwrap();
            thread::sleep(Duration::from_micros(200));
        }
    });
    for n in 0..WRITES {
        insert(&backend, &pair("bob", &format!("key-{n}"))).await.unwrap();
    }
    drop(stop);
    other.join().unwrap();
}
