//! How the recorder collects uses before they are reported.

use std::{thread, time::Duration};

use tower_credentials::{
    domain::Credential,
    usage::{UsageLog, UsageRecorder},
};

use crate::{
    at, key,
    logs::{Log, Mood},
};

/// Calls back for this many keys that differ only in their ids.
fn many_keys(count: usize, mut each: impl FnMut(&Credential)) {
    let mut key = key("key");
    for n in 0..count {
        key.id = tower_credentials::domain::CredentialId::from_stored(format!("{n:064}"));
        each(&key);
    }
}

#[tokio::test]
async fn uses_of_one_key_are_reported_once() {
    let log = Log::default();
    let recorder = UsageRecorder::new(log.clone());
    let key = key("key");
    for seconds in (0..1_000).chain((0..1_000).rev()) {
        recorder.used(&key, at(seconds));
    }
    recorder.flush().await.unwrap();
    assert_eq!((log.calls(), log.rows()), (1, 1));
    assert_eq!(log.of(&key), Some(at(999)));
    recorder.flush().await.unwrap();
    assert_eq!(log.calls(), 1, "there was nothing to report");
}

#[tokio::test]
async fn keys_used_in_one_interval_are_reported_together() {
    let log = Log::default();
    let recorder = UsageRecorder::new(log.clone());
    for n in 0..100 {
        recorder.used(&key(&format!("key-{n}")), at(n));
    }
    recorder.flush().await.unwrap();
    assert_eq!((log.calls(), log.rows(), log.keys()), (1, 100, 100));
}

#[tokio::test]
async fn latest_use_is_reported_in_any_order_and_in_whole_seconds() {
    let log = Log::default();
    let recorder = UsageRecorder::new(log.clone());
    let key = key("key");
    recorder.used(&key, at(5) + Duration::from_millis(999));
    recorder.used(&key, at(3));
    recorder.flush().await.unwrap();
    assert_eq!(log.of(&key), Some(at(5)));
    // Also after a report: the log decides.
    recorder.used(&key, at(4));
    recorder.flush().await.unwrap();
    assert_eq!(log.of(&key), Some(at(5)));
    recorder.used(&key, at(6));
    recorder.flush().await.unwrap();
    assert_eq!(log.of(&key), Some(at(6)));
}

#[tokio::test]
async fn time_before_1970_is_reported_as_1970() {
    let log = Log::default();
    let recorder = UsageRecorder::new(log.clone());
    let key = key("key");
    recorder.used(&key, std::time::UNIX_EPOCH - Duration::from_secs(1));
    recorder.flush().await.unwrap();
    assert_eq!(log.of(&key), Some(std::time::UNIX_EPOCH));
}

#[tokio::test]
async fn reported_key_is_recorded_again_in_the_next_second() {
    let log = Log::default();
    let recorder = UsageRecorder::new(log.clone());
    let key = key("key");
    for seconds in 0..3 {
        recorder.used(&key, at(seconds));
        recorder.flush().await.unwrap();
        recorder.used(&key, at(seconds));
        assert_eq!(recorder.waiting(), 0, "this second is known");
    }
    assert_eq!((log.rows(), log.of(&key)), (3, Some(at(2))));
}

#[tokio::test]
async fn waiting_keys_of_a_million_are_bounded_and_the_rest_is_counted() {
    const KEYS: usize = 1_000_000;
    const ROOM: usize = 10_000;
    let log = Log::default();
    log.set(Mood::Fails);
    let recorder = UsageRecorder::builder(log.clone()).capacity(ROOM).start();
    many_keys(KEYS, |key| recorder.used(key, at(0)));
    assert_eq!(recorder.waiting(), ROOM);
    assert_eq!(recorder.dropped(), (KEYS - ROOM) as u64);

    // A failing log does not change that.
    recorder.flush().await.unwrap_err();
    assert_eq!(recorder.waiting(), ROOM);
    // Waiting keys are still updated.
    many_keys(ROOM, |key| recorder.used(key, at(1)));
    assert_eq!(recorder.dropped(), (KEYS - ROOM) as u64);

    log.set(Mood::Works);
    recorder.flush().await.unwrap();
    assert_eq!((recorder.waiting(), log.keys()), (0, ROOM));
    assert_eq!(log.longest(), UsageRecorder::BATCH);
    // A dropped use can be recorded again.
    let mut last = key("key");
    many_keys(KEYS, |key| last.clone_from(key));
    recorder.used(&last, at(0));
    recorder.flush().await.unwrap();
    assert_eq!(log.of(&last), Some(at(0)));
}

#[tokio::test]
async fn recorder_without_capacity_drops_everything() {
    let recorder = UsageRecorder::builder(Log::default()).capacity(0).start();
    recorder.used(&key("key"), at(0));
    assert_eq!((recorder.waiting(), recorder.dropped()), (0, 1));
    recorder.flush().await.unwrap();
}

#[tokio::test]
async fn dropped_use_is_recorded_in_the_same_second_once_there_is_room() {
    let log = Log::default();
    let recorder = UsageRecorder::builder(log.clone()).capacity(1).start();
    let (first, second) = (key("first"), key("second"));
    recorder.used(&first, at(0));
    for dropped in 1..4 {
        recorder.used(&second, at(0));
        assert_eq!(recorder.dropped(), dropped);
    }
    recorder.flush().await.unwrap();
    recorder.used(&second, at(0));
    recorder.flush().await.unwrap();
    assert_eq!((log.of(&second), recorder.dropped()), (Some(at(0)), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_threads_lose_no_use_during_reports() {
    const THREADS: u64 = 8;
    const USES: u64 = 5_000;
    let log = Log::default();
    let recorder = UsageRecorder::builder(log.clone()).interval(Duration::from_millis(1)).start();
    let keys: Vec<_> = (0..32).map(|n| key(&format!("key-{n}"))).collect();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (recorder, keys) = (recorder.clone(), keys.clone());
            // The latest use of each key comes from another thread.
            thread::spawn(move || {
                for n in 0..USES {
                    for (index, key) in (0..).zip(&keys) {
                        let late = u64::from(index % THREADS == thread);
                        recorder.used(key, at(2 * (n / 1_000) + late));
                    }
                }
            })
        })
        .collect();
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        recorder.flush().await.unwrap();
    }
    for thread in threads {
        thread.join().unwrap();
    }
    recorder.flush().await.unwrap();
    let latest = at(2 * ((USES - 1) / 1_000) + 1);
    for key in &keys {
        assert_eq!(log.of(key), Some(latest));
    }
    assert_eq!((recorder.waiting(), recorder.dropped()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_threads_never_exceed_the_capacity() {
    const ROOM: usize = 1_000;
    let log = Log::default();
    log.set(Mood::Fails);
    let recorder = UsageRecorder::builder(log.clone()).capacity(ROOM).start();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let recorder = recorder.clone();
            thread::spawn(move || many_keys(2 * ROOM, |key| recorder.used(key, at(0))))
        })
        .collect();
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        assert!(recorder.waiting() <= ROOM);
        let _ = recorder.flush().await;
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let _ = recorder.flush().await;
    assert_eq!(recorder.waiting(), ROOM);
    log.set(Mood::Works);
    recorder.flush().await.unwrap();
    assert_eq!((recorder.waiting(), log.keys()), (0, ROOM));
}

#[tokio::test]
async fn recorder_reports_through_forwarding_pointers() {
    let log = Log::default();
    let shared: std::sync::Arc<dyn UsageLog> = std::sync::Arc::new(log.clone());
    let boxed: Box<dyn UsageLog> = Box::new(shared);
    let recorder = UsageRecorder::new(boxed);
    let key = key("key");
    recorder.used(&key, at(0));
    recorder.flush().await.unwrap();
    assert_eq!(log.of(&key), Some(at(0)));
}
