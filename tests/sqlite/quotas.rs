//! Quotas while another process writes to the same file, and on a full disk.

use std::{fs, io::Write as _, sync::Arc};

use tower_credentials::{
    backend::{BackendError, CredentialBackend, sqlite::SqliteBackend},
    domain::Quota,
};

use test_support::small_disk::SmallDisk;

use crate::{folder, pair};

#[tokio::test]
async fn quota_counts_what_another_process_wrote_and_deleted() {
    let (_folder, path) = folder();
    // Backends share nothing but the file, as processes do.
    let (one, other) = (SqliteBackend::open(&path).unwrap(), SqliteBackend::open(&path).unwrap());
    let keys = ["a", "b", "c", "d"].map(|key| Arc::new(pair("alice", key)));
    let quota = Quota::AtMost(2);
    one.insert(&keys[0], quota).await.unwrap();
    other.insert(&keys[1], quota).await.unwrap();
    for backend in [&one, &other] {
        let full = backend.insert(&keys[2], quota).await;
        assert!(matches!(full, Err(BackendError::QuotaExceeded)), "{full:?}");
    }
    assert!(other.delete(&keys[0].id, keys[0].version).await.unwrap());
    one.insert(&keys[2], quota).await.unwrap();
    let full = other.insert(&keys[3], quota).await;
    assert!(matches!(full, Err(BackendError::QuotaExceeded)), "{full:?}");
    assert_eq!(other.purge_user(&keys[0].user_id).await.unwrap(), 2);
    one.insert(&keys[3], Quota::AtMost(1)).await.unwrap();
}

#[tokio::test]
async fn write_that_failed_on_a_full_disk_does_not_count() {
    let Some(disk) = SmallDisk::mount("2m") else { return };
    let backend = SqliteBackend::open(disk.path().join("credentials.db")).unwrap();
    let keys = ["a", "b", "c", "d"].map(|key| Arc::new(pair("alice", key)));
    let quota = Quota::AtMost(3);
    backend.insert(&keys[0], quota).await.unwrap();
    let ballast = disk.path().join("ballast");
    let mut file = fs::File::create_new(&ballast).unwrap();
    while file.write_all(&[1; 4_096]).is_ok() {}
    drop(file);
    for _ in 0..3 {
        let full = backend.insert(&keys[1], quota).await;
        assert!(matches!(full, Err(BackendError::Unavailable(_))), "{full:?}");
    }
    fs::remove_file(ballast).unwrap();
    for key in &keys[1..3] {
        backend.insert(key, quota).await.unwrap();
    }
    let full = backend.insert(&keys[3], quota).await;
    assert!(matches!(full, Err(BackendError::QuotaExceeded)), "{full:?}");
}
