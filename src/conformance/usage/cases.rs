//! The cases, one function per clause.
//!
//! Each takes a backend and a log, which may contain other data, and panics if the clause is
//! violated.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    backend::ListQuery,
    conformance::fixtures::{
        Backend, access_key, fresh_access_key, fresh_full, fresh_pair, fresh_user, insert,
        insert_all, rekeyed, update, with_id,
    },
    domain::{Credential, CredentialId},
    usage::{UsageLog, UsageRecorder},
};

type Log = Arc<dyn UsageLog>;

/// The log returns the time of a use, to the second.
///
/// # Panics
///
/// If the log does not return the use, or returns another second.
pub async fn use_is_returned_to_the_second(backend: Backend, log: Log) {
    let keys = keys(&backend, 4).await;
    // The first and last second with ten digits, and a time that does not fit into 32 bits.
    let times = [UNIX_EPOCH, at(0), at(4_000_000_000), at(251_500_000_000)];
    let uses: Vec<_> = keys.iter().map(id).zip(times).collect();
    record(&log, &uses).await;
    for (id, time) in &uses {
        assert_eq!(last_used(&log, id).await, Some(*time));
    }
    let precise = at(9) + Duration::from_micros(999_999);
    record(&log, &[(id(&keys[0]), precise)]).await;
    assert_eq!(whole(last_used(&log, &keys[0].id).await), Some(at(9)));
}

/// A report of an older use changes nothing; a report of a later one does.
///
/// # Panics
///
/// If the time moves back, or does not move forward.
pub async fn older_use_does_not_replace_a_later_one(backend: Backend, log: Log) {
    let key = key(&backend).await;
    for (reported, expected) in [(5, 5), (4, 5), (5, 5), (6, 6), (0, 6)] {
        record(&log, &[(id(&key), at(reported))]).await;
        assert_eq!(last_used(&log, &key.id).await, Some(at(expected)), "after {reported}");
    }
}

/// If a report has the same key twice, the later use counts.
///
/// # Panics
///
/// If the log keeps the earlier use.
pub async fn key_reported_twice_at_once_keeps_the_later_use(backend: Backend, log: Log) {
    for times in [[1, 2], [2, 1]] {
        let key = key(&backend).await;
        record(&log, &times.map(|seconds| (id(&key), at(seconds)))).await;
        assert_eq!(last_used(&log, &key.id).await, Some(at(2)), "{times:?}");
    }
}

/// Racing reports of the same key keep the latest use.
///
/// # Panics
///
/// If an older use is kept.
pub async fn racing_reports_keep_the_latest_use(backend: Backend, log: Log) {
    const REPORTS: u64 = 16;
    for _ in 0..8 {
        let keys = keys(&backend, 2).await;
        let reports: Vec<_> = (0..REPORTS)
            .map(|n| {
                let log = Arc::clone(&log);
                // In opposite orders, so that a log that locks key by key could deadlock.
                let mut uses = [(id(&keys[0]), at(n)), (id(&keys[1]), at(REPORTS - n))];
                if n % 2 == 0 {
                    uses.reverse();
                }
                tokio::spawn(async move { log.record(&uses).await })
            })
            .collect();
        for report in reports {
            report.await.expect("report").expect("report");
        }
        assert_eq!(last_used(&log, &keys[0].id).await, Some(at(REPORTS - 1)));
        assert_eq!(last_used(&log, &keys[1].id).await, Some(at(REPORTS)));
    }
}

/// Unknown keys in a report or a query are not an error. Keys that were never used are not in
/// the answer. Neither affects other keys.
///
/// # Panics
///
/// If another key is affected, or if an unused key has a use.
pub async fn unknown_keys_do_not_affect_others(backend: Backend, log: Log) {
    let keys = keys(&backend, 3).await;
    let unknown = CredentialId::of(&fresh_access_key());
    let never = CredentialId::of(&fresh_access_key());
    let uses = [(id(&keys[0]), at(1)), (unknown.clone(), at(2)), (id(&keys[1]), at(3))];
    record(&log, &uses).await;
    let asked = [never.clone(), id(&keys[0]), unknown.clone(), id(&keys[1]), id(&keys[2])];
    let mut answer = ask(&log, &asked).await;
    // The log may keep it until it is cleaned up.
    answer.remove(&unknown);
    let expected = [(id(&keys[0]), at(1)), (id(&keys[1]), at(3))];
    assert_eq!(answer, HashMap::from(expected));
}

/// The answer has the requested keys and no others.
///
/// # Panics
///
/// If the answer has another key, or lacks a requested one.
pub async fn only_requested_keys_are_returned(backend: Backend, log: Log) {
    let keys = keys(&backend, 3).await;
    let uses: Vec<_> = keys.iter().map(id).zip([at(0), at(1), at(2)]).collect();
    record(&log, &uses).await;
    let asked = [id(&keys[2]), id(&keys[0]), id(&keys[2])];
    let expected = [uses[0].clone(), uses[2].clone()];
    assert_eq!(ask(&log, &asked).await, HashMap::from(expected));
}

/// An empty report and an empty query are not errors.
///
/// # Panics
///
/// If the empty report or the empty query fails.
pub async fn empty_report_and_query_are_not_errors(_: Backend, log: Log) {
    record(&log, &[]).await;
    assert!(ask(&log, &[]).await.is_empty());
}

/// The log stores the longest report and answers for the longest page.
///
/// # Panics
///
/// If a key is missing, or has the time of another key.
pub async fn long_report_is_stored_and_returned_completely(backend: Backend, log: Log) {
    let keys = keys(&backend, ListQuery::MAX_LIMIT).await;
    let uses: Vec<_> = keys.iter().map(id).zip((0..).map(at)).collect();
    for batch in uses.chunks(UsageRecorder::BATCH) {
        record(&log, batch).await;
    }
    let ids: Vec<_> = keys.iter().map(id).collect();
    assert_eq!(ask(&log, &ids).await, uses.into_iter().collect());
}

/// Ids are compared bytewise.
///
/// # Panics
///
/// If a use is returned for a key with a similar id.
pub async fn keys_are_compared_bytewise(backend: Backend, log: Log) {
    let text = fresh_access_key();
    let names = [format!("a{text}"), format!("A{text}"), format!("a{text} "), format!("á{text}")];
    let mut uses = Vec::new();
    for (name, seconds) in names.iter().zip(0..) {
        let key = with_id(fresh_pair(&fresh_user()), name);
        insert(&backend, &key).await;
        uses.push((key.id, at(seconds)));
    }
    for (id, time) in &uses[..3] {
        record(&log, &[(id.clone(), *time)]).await;
    }
    let ids: Vec<_> = uses.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(ask(&log, &ids).await, uses[..3].iter().cloned().collect());
}

/// An update of the record keeps the use, even if it changes the access key.
///
/// # Panics
///
/// If the use is lost.
pub async fn record_update_keeps_the_use(backend: Backend, log: Log) {
    let before = fresh_full();
    insert(&backend, &before).await;
    record(&log, &[(id(&before), at(1))]).await;
    let after = rekeyed(&before, &fresh_access_key());
    assert!(access_key(&after) != access_key(&before));
    assert!(update(&backend, &after, before.version).await, "update");
    assert_eq!(last_used(&log, &before.id).await, Some(at(1)));
    record(&log, &[(id(&before), at(2))]).await;
    assert_eq!(last_used(&log, &before.id).await, Some(at(2)));
}

/// Returns a fixed time plus `seconds`.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// Cuts off the fractions, which a log may keep or not.
fn whole(time: Option<SystemTime>) -> Option<SystemTime> {
    let since = time?.duration_since(UNIX_EPOCH).expect("a time that was reported");
    Some(UNIX_EPOCH + Duration::from_secs(since.as_secs()))
}

fn id(key: &Credential) -> CredentialId {
    key.id.clone()
}

async fn key(backend: &Backend) -> Credential {
    let key = fresh_pair(&fresh_user());
    insert(backend, &key).await;
    key
}

async fn keys(backend: &Backend, count: usize) -> Vec<Credential> {
    let user = fresh_user();
    let keys: Vec<_> = (0..count).map(|_| fresh_pair(&user)).collect();
    insert_all(backend, &keys).await;
    keys
}

async fn record(log: &Log, uses: &[(CredentialId, SystemTime)]) {
    log.record(uses).await.expect("record");
}

async fn ask(log: &Log, ids: &[CredentialId]) -> HashMap<CredentialId, SystemTime> {
    log.last_used(ids).await.expect("last_used")
}

async fn last_used(log: &Log, id: &CredentialId) -> Option<SystemTime> {
    ask(log, std::slice::from_ref(id)).await.remove(id)
}
