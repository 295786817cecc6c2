//! The cases, one function per clause.
//!
//! Each takes a backend and a log, which may hold anything, and panics if the clause
//! does not hold.

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

/// A use is told, to the second.
///
/// # Panics
///
/// If it is not, or at another second.
pub async fn a_use_is_told_to_the_second(backend: Backend, log: Log) {
    let keys = keys(&backend, 4).await;
    // The first and the last second of four digits, and what does not fit in 32 bits.
    let times = [UNIX_EPOCH, at(0), at(4_000_000_000), at(251_500_000_000)];
    let uses: Vec<_> = keys.iter().map(id).zip(times).collect();
    note(&log, &uses).await;
    for (id, time) in &uses {
        assert_eq!(last_used(&log, id).await, Some(*time));
    }
    let precise = at(9) + Duration::from_micros(999_999);
    note(&log, &[(id(&keys[0]), precise)]).await;
    assert_eq!(whole(last_used(&log, &keys[0].id).await), Some(at(9)));
}

/// An older use, reported later, changes nothing; a later one does.
///
/// # Panics
///
/// If the time moved back, or stayed.
pub async fn an_older_use_moves_nothing_back(backend: Backend, log: Log) {
    let key = key(&backend).await;
    for (reported, expected) in [(5, 5), (4, 5), (5, 5), (6, 6), (0, 6)] {
        note(&log, &[(id(&key), at(reported))]).await;
        assert_eq!(last_used(&log, &key.id).await, Some(at(expected)), "after {reported}");
    }
}

/// The same key twice in one report counts with its later use.
///
/// # Panics
///
/// If it counts with another.
pub async fn a_key_reported_twice_at_once_was_used_at_the_later_time(backend: Backend, log: Log) {
    for times in [[1, 2], [2, 1]] {
        let key = key(&backend).await;
        note(&log, &times.map(|seconds| (id(&key), at(seconds)))).await;
        assert_eq!(last_used(&log, &key.id).await, Some(at(2)), "{times:?}");
    }
}

/// Reports of the same key at the same time leave the latest use.
///
/// # Panics
///
/// If an older one wins.
pub async fn racing_reports_leave_the_latest_use(backend: Backend, log: Log) {
    const REPORTS: u64 = 16;
    for _ in 0..8 {
        let keys = keys(&backend, 2).await;
        let reports: Vec<_> = (0..REPORTS)
            .map(|n| {
                let log = Arc::clone(&log);
                // In opposite orders, so that whoever locks one by one meets another.
                let mut uses = [(id(&keys[0]), at(n)), (id(&keys[1]), at(REPORTS - n))];
                if n % 2 == 0 {
                    uses.reverse();
                }
                tokio::spawn(async move { log.note(&uses).await })
            })
            .collect();
        for report in reports {
            report.await.expect("report").expect("report");
        }
        assert_eq!(last_used(&log, &keys[0].id).await, Some(at(REPORTS - 1)));
        assert_eq!(last_used(&log, &keys[1].id).await, Some(at(REPORTS)));
    }
}

/// Keys that do not exist are no error, whether reported or asked for, and those that
/// were never used are not in the answer; neither disturbs the others.
///
/// # Panics
///
/// If one does, or if an unused key has a use.
pub async fn unknown_keys_disturb_no_others(backend: Backend, log: Log) {
    let keys = keys(&backend, 3).await;
    let unknown = CredentialId::of(&fresh_access_key());
    let never = CredentialId::of(&fresh_access_key());
    let uses = [(id(&keys[0]), at(1)), (unknown.clone(), at(2)), (id(&keys[1]), at(3))];
    note(&log, &uses).await;
    let asked = [never.clone(), id(&keys[0]), unknown.clone(), id(&keys[1]), id(&keys[2])];
    let mut told = ask(&log, &asked).await;
    // It may be kept until it is tidied up.
    told.remove(&unknown);
    let expected = [(id(&keys[0]), at(1)), (id(&keys[1]), at(3))];
    assert_eq!(told, HashMap::from(expected));
}

/// The answer holds the keys that were asked for and no others.
///
/// # Panics
///
/// If it holds another, or lacks one.
pub async fn only_what_is_asked_for_is_told(backend: Backend, log: Log) {
    let keys = keys(&backend, 3).await;
    let uses: Vec<_> = keys.iter().map(id).zip([at(0), at(1), at(2)]).collect();
    note(&log, &uses).await;
    let asked = [id(&keys[2]), id(&keys[0]), id(&keys[2])];
    let expected = [uses[0].clone(), uses[2].clone()];
    assert_eq!(ask(&log, &asked).await, HashMap::from(expected));
}

/// A report of nothing and a question for nothing are no error.
///
/// # Panics
///
/// If one is.
pub async fn nothing_is_noted_and_told_without_an_error(_: Backend, log: Log) {
    note(&log, &[]).await;
    assert!(ask(&log, &[]).await.is_empty());
}

/// A report as long as they come is noted, and a page as long as they come is told.
///
/// # Panics
///
/// If a key is missing, or has another's time.
pub async fn a_long_report_is_noted_whole_and_told_whole(backend: Backend, log: Log) {
    let keys = keys(&backend, ListQuery::MAX_LIMIT).await;
    let uses: Vec<_> = keys.iter().map(id).zip((0..).map(at)).collect();
    for batch in uses.chunks(UsageRecorder::BATCH) {
        note(&log, batch).await;
    }
    let ids: Vec<_> = keys.iter().map(id).collect();
    assert_eq!(ask(&log, &ids).await, uses.into_iter().collect());
}

/// Ids are compared bytewise.
///
/// # Panics
///
/// If a use is told of a key whose id only looks the same.
pub async fn keys_are_told_apart_bytewise(backend: Backend, log: Log) {
    let text = fresh_access_key();
    let names = [format!("a{text}"), format!("A{text}"), format!("a{text} "), format!("á{text}")];
    let mut uses = Vec::new();
    for (name, seconds) in names.iter().zip(0..) {
        let key = with_id(fresh_pair(&fresh_user()), name);
        insert(&backend, &key).await;
        uses.push((key.id, at(seconds)));
    }
    for (id, time) in &uses[..3] {
        note(&log, &[(id.clone(), *time)]).await;
    }
    let ids: Vec<_> = uses.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(ask(&log, &ids).await, uses[..3].iter().cloned().collect());
}

/// The use stays when the record is changed, its access key included.
///
/// # Panics
///
/// If it is lost.
pub async fn a_change_of_the_record_keeps_the_use(backend: Backend, log: Log) {
    let before = fresh_full();
    insert(&backend, &before).await;
    note(&log, &[(id(&before), at(1))]).await;
    let after = rekeyed(&before, &fresh_access_key());
    assert!(access_key(&after) != access_key(&before));
    assert!(update(&backend, &after, before.version).await, "update");
    assert_eq!(last_used(&log, &before.id).await, Some(at(1)));
    note(&log, &[(id(&before), at(2))]).await;
    assert_eq!(last_used(&log, &before.id).await, Some(at(2)));
}

/// Some time; `seconds` later.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// Fractions of a second may be kept or not.
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

async fn note(log: &Log, uses: &[(CredentialId, SystemTime)]) {
    log.note(uses).await.expect("note");
}

async fn ask(log: &Log, ids: &[CredentialId]) -> HashMap<CredentialId, SystemTime> {
    log.last_used(ids).await.expect("last_used")
}

async fn last_used(log: &Log, id: &CredentialId) -> Option<SystemTime> {
    ask(log, std::slice::from_ref(id)).await.remove(id)
}
