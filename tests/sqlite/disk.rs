//! A full disk.

use std::{fs, process::Command};

use rusqlite::Connection;
use tempfile::TempDir;
use tower_credentials::backend::{BackendError, sqlite::SqliteBackend};

use crate::{full_text, insert, is_stored, pair};

/// A small file system; `None` if it cannot be mounted.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .output();
        if mount.as_ref().is_ok_and(|mount| mount.status.success()) {
            return Some(Self(folder));
        }
        let required = std::env::var("REQUIRE_LIVE_BACKENDS").is_ok_and(|value| value == "1");
        assert!(!required, "cannot mount a small disk: {mount:?}");
        eprintln!("SKIPPED: a full disk is not tested, for mounting one needs root: {mount:?}");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn full_disk_stops_writes_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.0.path().join("credentials.db");
    let ballast = disk.0.path().join("ballast");
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

    let backend = SqliteBackend::open(&path).unwrap();
    for record in &acknowledged {
        assert!(is_stored(&backend, record).await);
    }
    drop(backend);
    let other = Connection::open(&path).unwrap();
    let check: String = other.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
