//! When uses are reported, and what happens to them when the log fails.

use std::{error::Error as _, time::Duration};

use tokio::{task::yield_now, time};
use tower_credentials::usage::UsageRecorder;

use crate::{
    at, key,
    logs::{Log, Mood},
};

const MINUTE: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn uses_are_reported_every_minute_and_not_before() {
    let log = Log::default();
    let recorder = UsageRecorder::new(log.clone());
    yield_now().await;
    for minute in 1..4 {
        recorder.used(&key("key"), at(minute));
        time::sleep(SECOND * 59).await;
        assert_eq!(log.rows() as u64, minute - 1);
        time::sleep(SECOND + SECOND / 10).await;
        assert_eq!(log.rows() as u64, minute);
    }
}

#[tokio::test(start_paused = true)]
async fn interval_can_be_set() {
    let log = Log::default();
    let recorder = UsageRecorder::builder(log.clone()).interval(SECOND).start();
    recorder.used(&key("key"), at(0));
    time::sleep(SECOND * 2).await;
    assert_eq!(log.rows(), 1);
}

#[tokio::test(start_paused = true)]
async fn uses_are_reported_earlier_when_half_of_the_capacity_is_used() {
    let log = Log::default();
    let recorder = UsageRecorder::builder(log.clone()).capacity(10).start();
    for n in 0..4 {
        recorder.used(&key(&format!("key-{n}")), at(0));
    }
    time::sleep(SECOND).await;
    assert_eq!(log.rows(), 0);
    recorder.used(&key("key-4"), at(0));
    time::sleep(SECOND).await;
    assert_eq!((log.rows(), recorder.waiting()), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn failing_log_with_little_capacity_left_is_not_called_all_the_time() {
    let log = Log::default();
    log.set(Mood::Fails);
    let recorder = UsageRecorder::builder(log.clone()).capacity(10).start();
    for n in 0..20 {
        recorder.used(&key(&format!("key-{n}")), at(0));
        time::sleep(SECOND).await;
    }
    assert_eq!((log.calls(), recorder.waiting(), recorder.dropped()), (1, 10, 10));
}

#[tokio::test(start_paused = true)]
async fn failed_report_is_repeated_the_next_time() {
    let log = Log::default();
    let recorder = UsageRecorder::new(log.clone());
    let (one, two) = (key("one"), key("two"));
    log.set(Mood::Fails);
    recorder.used(&one, at(0));
    time::sleep(MINUTE + SECOND).await;
    assert_eq!((log.calls(), log.keys(), recorder.waiting()), (1, 0, 1));

    log.set(Mood::Works);
    recorder.used(&two, at(1));
    time::sleep(MINUTE).await;
    assert_eq!((log.of(&one), log.of(&two)), (Some(at(0)), Some(at(1))));
    assert_eq!((log.calls(), recorder.waiting()), (2, 0));
}

#[tokio::test]
async fn failed_report_ends_the_round_and_the_rest_waits() {
    let log = Log::default();
    log.set(Mood::FailsAfter(1));
    let recorder = UsageRecorder::new(log.clone());
    let keys: Vec<_> = (0..UsageRecorder::BATCH * 4).map(|n| key(&format!("key-{n}"))).collect();
    for key in &keys {
        recorder.used(key, at(0));
    }
    let error = recorder.flush().await.unwrap_err();
    assert_eq!(error.to_string(), "log of uses unavailable");
    assert_eq!(error.source().unwrap().to_string(), "disk on fire");
    assert_eq!((log.calls(), log.keys()), (2, UsageRecorder::BATCH));
    assert_eq!(recorder.waiting(), UsageRecorder::BATCH * 3);
    log.set(Mood::Works);
    recorder.flush().await.unwrap();
    assert_eq!((log.keys(), log.rows()), (keys.len(), keys.len() + UsageRecorder::BATCH));
}

#[tokio::test(start_paused = true)]
async fn hanging_log_times_out_and_is_called_again_without_a_backlog() {
    let log = Log::default();
    log.set(Mood::Hangs);
    let recorder = UsageRecorder::builder(log.clone()).capacity(100).start();
    for n in 0..1_000 {
        recorder.used(&key(&format!("key-{n}")), at(0));
    }
    time::sleep(MINUTE * 10).await;
    assert_eq!((recorder.waiting(), recorder.dropped()), (100, 900));
    assert!((5..=10).contains(&log.calls()), "{} calls", log.calls());
    assert!(log.under_way() <= 1, "{} reports under way", log.under_way());

    let started = time::Instant::now();
    let flushes: Vec<_> = (0..10)
        .map(|_| {
            let recorder = recorder.clone();
            tokio::spawn(async move { recorder.flush().await })
        })
        .collect();
    for flush in flushes {
        flush.await.unwrap().unwrap_err();
    }
    assert!(started.elapsed() <= SECOND * 20, "{:?}", started.elapsed());

    log.set(Mood::Works);
    time::sleep(MINUTE * 2).await;
    assert_eq!((recorder.waiting(), log.keys()), (0, 100));
}

#[tokio::test(start_paused = true)]
async fn log_that_panicked_is_called_again() {
    let log = Log::default();
    log.set(Mood::Panics);
    let recorder = UsageRecorder::new(log.clone());
    let key = key("key");
    recorder.used(&key, at(0));
    time::sleep(MINUTE + SECOND).await;
    assert_eq!((log.calls(), recorder.waiting()), (1, 1));
    log.set(Mood::Works);
    time::sleep(MINUTE).await;
    assert_eq!(log.of(&key), Some(at(0)));
}

#[tokio::test]
async fn uses_are_recorded_during_a_report() {
    let log = Log::default();
    log.close();
    let recorder = UsageRecorder::new(log.clone());
    let (one, two) = (key("one"), key("two"));
    recorder.used(&one, at(0));
    let reporting = recorder.clone();
    let flush = tokio::spawn(async move { reporting.flush().await });
    while log.under_way() == 0 {
        yield_now().await;
    }
    // On this single thread nothing else runs meanwhile: recording does not wait.
    recorder.used(&one, at(9));
    recorder.used(&two, at(9));
    assert_eq!((log.under_way(), log.keys(), recorder.waiting()), (1, 0, 3));
    log.open();
    flush.await.unwrap().unwrap();
    assert_eq!((log.of(&one), log.of(&two)), (Some(at(0)), None));
    recorder.flush().await.unwrap();
    assert_eq!((log.of(&one), log.of(&two)), (Some(at(9)), Some(at(9))));
}

#[tokio::test]
async fn canceled_flush_loses_nothing() {
    let log = Log::default();
    log.close();
    let recorder = UsageRecorder::new(log.clone());
    let key = key("key");
    recorder.used(&key, at(0));
    let left = time::timeout(Duration::from_millis(20), recorder.flush()).await;
    assert!(left.is_err() && log.calls() == 1);
    assert_eq!(recorder.waiting(), 1);
    log.open();
    recorder.flush().await.unwrap();
    assert_eq!((log.of(&key), recorder.waiting()), (Some(at(0)), 0));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_clone_reports_waiting_uses_and_ends_the_task() {
    let log = Log::default();
    let recorder = UsageRecorder::new(log.clone());
    let clone = recorder.clone();
    let key = key("key");
    recorder.used(&key, at(0));
    drop(recorder);
    time::sleep(SECOND).await;
    assert_eq!((log.calls(), log.holders()), (0, 1), "a clone is left");
    drop(clone);
    time::sleep(SECOND).await;
    assert_eq!((log.of(&key), log.holders()), (Some(at(0)), 0));
}

#[tokio::test(start_paused = true)]
async fn task_ends_even_if_the_log_hangs() {
    let log = Log::default();
    log.set(Mood::Hangs);
    let recorder = UsageRecorder::new(log.clone());
    recorder.used(&key("key"), at(0));
    drop(recorder);
    time::sleep(MINUTE).await;
    assert_eq!((log.calls(), log.holders()), (1, 0));
}

#[test]
fn use_is_recorded_outside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log = Log::default();
    let recorder = {
        let _inside = runtime.enter();
        UsageRecorder::new(log.clone())
    };
    let key = key("key");
    recorder.used(&key, at(0));
    runtime.block_on(recorder.flush()).unwrap();
    assert_eq!(log.of(&key), Some(at(0)));
    drop(runtime);
    recorder.used(&key, at(1));
    assert_eq!(recorder.waiting(), 1);
}
