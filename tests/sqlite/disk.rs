//! A full disk.

use std::{fs, io::Write as _, path::Path, time::Duration};

use rusqlite::Connection;
use test_support::{small_disk::SmallDisk, waiting::Waiting};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, sqlite::SqliteBackend},
    domain::{Blob, Credential, Kind, Material},
};

use crate::{full_text, insert, is_stored, pair};

#[tokio::test]
async fn full_disk_stops_writes_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount("2m") else { return };
    let path = disk.path().join("credentials.db");
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let backend = SqliteBackend::open(&path).unwrap();

    let mut acknowledged = Vec::new();
    let error = loop {
        let record = pair("bob", &format!("before-{}", acknowledged.len()));
        match insert(&backend, &record).await {
            Ok(()) => acknowledged.push(record),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 100_000, "the disk never became full");
    };
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(!acknowledged.is_empty());
    assert!(!full_text(&error).contains("secret of"), "{error:?}");
    for record in &acknowledged {
        assert!(is_stored(&backend, record).await);
    }

    fs::remove_file(ballast).unwrap();
    for n in 0..20 {
        let record = pair("bob", &format!("after-{n}"));
        insert(&backend, &record).await.unwrap();
        acknowledged.push(record);
    }
    drop(backend);
    assert_intact(&path, &acknowledged).await;
}

/// Opens the file again, and checks it and these records.
async fn assert_intact(path: &Path, acknowledged: &[Credential]) {
    let backend = SqliteBackend::open(path).unwrap();
    for record in acknowledged {
        assert!(is_stored(&backend, record).await);
    }
    drop(backend);
    let other = Connection::open(path).unwrap();
    let check: String = other.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// The number of changed records after which the log is copied into the file.
const CHANGES: usize = 1_000;

#[tokio::test]
async fn log_that_cannot_be_copied_to_a_full_disk_loses_nothing() {
    let Some(disk) = SmallDisk::mount("2m") else { return };
    disk.resize("64m");
    let path = disk.path().join("credentials.db");
    let size = || fs::metadata(&path).unwrap().len();
    let backend = SqliteBackend::open(&path).unwrap();
    let empty = size();
    let mut acknowledged = Vec::new();
    let mut count = 0;
    let mut next = || {
        count += 1;
        pair("bob", &format!("key-{count}"))
    };
    for _ in 0..CHANGES - 3 {
        let record = next();
        insert(&backend, &record).await.unwrap();
        acknowledged.push(record);
    }
    assert_eq!(size(), empty, "nothing was copied yet");

    // Room for a few more writes to the log, but not for the records in the file.
    let ballast = disk.path().join("ballast");
    let mut file = fs::File::create_new(&ballast).unwrap();
    while file.write_all(&[1; 4_096]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length - 25 * 4_096).unwrap();
    drop(file);
    let error = loop {
        let record = next();
        match insert(&backend, &record).await {
            Ok(()) => acknowledged.push(record),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 2 * CHANGES, "the disk never became full");
    };
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(acknowledged.len() >= CHANGES, "the log was to be copied");
    for record in &acknowledged {
        assert!(is_stored(&backend, record).await);
    }

    // Time for the copy to fail.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(size() < 200_000, "{} bytes", size());

    fs::remove_file(ballast).unwrap();
    for _ in 0..CHANGES / 8 {
        let record = next();
        insert(&backend, &record).await.unwrap();
        acknowledged.push(record);
    }
    for () in Waiting::start() {
        if size() > 200_000 {
            break;
        }
        tokio::time::sleep(Waiting::STEP).await;
    }
    assert!(size() > 200_000, "the log is copied again: {} bytes", size());
    drop(backend);
    assert_intact(&path, &acknowledged).await;
}

/// The length at which the engine itself copies the log, and some more, in pages.
const MOST_PAGES: u64 = 20_000;

/// The size of the log, in pages of 4 KiB.
fn log_pages(path: &Path) -> u64 {
    fs::metadata(path.with_extension("db-wal")).unwrap().len() / 4_096
}

#[tokio::test]
async fn log_stays_short_under_steady_writes_and_after_a_long_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    let backend = SqliteBackend::open(&path).unwrap();
    let write = async |from: usize, count: usize| {
        for part in 0..count / 50 {
            let inserts = (0..50).map(|n| {
                let (backend, key) = (backend.clone(), format!("key-{}", from + part * 50 + n));
                tokio::spawn(async move { insert(&backend, &pair("bob", &key)).await.unwrap() })
            });
            for insert in inserts.collect::<Vec<_>>() {
                insert.await.unwrap();
            }
        }
    };
    write(0, 10_000).await;
    let steady = log_pages(&path);
    // Ten thousand records write three times as many pages.
    assert!(steady < MOST_PAGES, "{steady} pages");

    // A reader of another program, such as a backup, prevents the writer from resetting the log.
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM records").unwrap();
    write(10_000, 20_000).await;
    assert!(log_pages(&path) > steady);
    reader.execute_batch("COMMIT").unwrap();
    write(30_000, 10_000).await;
    // `journal_size_limit` truncates a log that is reset.
    let after = log_pages(&path);
    assert!(after < MOST_PAGES, "{after} pages");
    drop(backend);
    let backend = SqliteBackend::open(&path).unwrap();
    for n in [0, 15_000, 39_999] {
        let id = pair("bob", &format!("key-{n}")).id;
        assert!(backend.get(&id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn log_stays_short_with_long_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    let backend = SqliteBackend::open(&path).unwrap();
    let text = "x".repeat(100 << 10);
    let mut longest = 0;
    for n in 0..600 {
        let mut record = pair("bob", &format!("key-{n}"));
        record.kind = Kind::new("cert").unwrap();
        record.access_key = None;
        record.material = Material::Blob(Blob::new(text.clone()));
        insert(&backend, &record).await.unwrap();
        longest = longest.max(log_pages(&path));
    }
    // All of them take 16,000 pages.
    assert!((2_000..12_000).contains(&longest), "{longest} pages");
}
