//! Metrics of the calls of a store, and of its batches.

use std::sync::Arc;

use test_support::{records, world::failing::Flaky};
use tower_credentials::{
    backend::{CredentialBackend, Measured, memory::MemoryBackend, sqlite::SqliteBackend},
    domain::{AccessKey, Quota, UserId},
};

use crate::recorder::Recorded;

#[tokio::test]
async fn calls_are_timed_by_operation_and_outcome() {
    let recorded = Recorded::default();
    let store = recorded.within(|| Measured::new(MemoryBackend::default(), "memory"));
    let record = Arc::new(records::pair("alice", "key-1", "a-secret"));
    store.insert(&record, Quota::Unlimited).await.unwrap();
    store.insert(&record, Quota::Unlimited).await.unwrap_err();
    store.find_by_access_key(&AccessKey::from_stored("key-1")).await.unwrap();
    store.purge_user(&UserId::new("alice").unwrap()).await.unwrap();
    let timed = |operation: &str, outcome: &str| {
        recorded.value(&format!(
            "tower_credentials_store_operation_duration_seconds{{store=\"memory\",\
             operation=\"{operation}\",outcome=\"{outcome}\"}}"
        ))
    };
    for (operation, outcome) in [
        ("insert", "ok"),
        ("insert", "refused"),
        ("find_by_access_key", "ok"),
        ("purge_user", "ok"),
    ] {
        assert!((timed(operation, outcome) - 1.0).abs() < 0.1, "{operation} {outcome}");
    }
    // Four durations, and nothing is in flight.
    assert_eq!(recorded.used().len(), 4, "{:?}", recorded.used());
}

#[tokio::test]
async fn failures_and_cancelled_calls_are_recorded_as_such() {
    let recorded = Recorded::default();
    let down = Flaky::default();
    down.set_down(true);
    let failing = recorded.within(|| Measured::new(down, "memory"));
    failing.purge_user(&UserId::new("alice").unwrap()).await.unwrap_err();
    let folder = tempfile::tempdir().unwrap();
    let slow = SqliteBackend::open(folder.path().join("credentials.db")).unwrap();
    let slow = recorded.within(|| Measured::new(slow, "sqlite"));
    let record = Arc::new(records::pair("alice", "key-1", "a-secret"));
    let mut call = slow.insert(&record, Quota::Unlimited);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    let in_flight = "tower_credentials_store_operations_in_flight{store=\"sqlite\"}";
    assert!((recorded.value(in_flight) - 1.0).abs() < 0.1);
    drop(call);
    let durations = "tower_credentials_store_operation_duration_seconds";
    assert_eq!(
        recorded.used(),
        [
            format!("{durations}{{store=\"memory\",operation=\"purge_user\",outcome=\"failed\"}}"),
            format!("{durations}{{store=\"sqlite\",operation=\"insert\",outcome=\"cancelled\"}}"),
        ]
    );
}

#[tokio::test]
async fn batches_of_writes_are_counted_and_the_queue_ends_empty() {
    let recorded = Recorded::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    let store = recorded.within(|| SqliteBackend::open(&path)).unwrap();
    for index in 0..3 {
        let record = Arc::new(records::pair("alice", &format!("key-{index}"), "a-secret"));
        store.insert(&record, Quota::Unlimited).await.unwrap();
    }
    // One after the other: each write is a batch.
    assert!(
        (recorded.value("tower_credentials_store_batch_size{store=\"sqlite\"}") - 3.0).abs() < 0.1
    );
    assert!(recorded.value("tower_credentials_store_queue_depth{store=\"sqlite\"}").abs() < 0.1);
    assert_eq!(recorded.calls().0, 3 + 2 * 3, "each write enters the queue and leaves it");
}
