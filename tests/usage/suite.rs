//! The conformance suite with both logs, and with wrong logs: a suite that has never failed
//! proves nothing.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::task::yield_now;
use tower_credentials::{
    async_trait,
    backend::{CredentialBackend, memory::MemoryBackend},
    domain::CredentialId,
    usage::{UsageError, UsageLog},
};

mod memory {
    use super::MemoryBackend;

    async fn backend_and_log() -> (MemoryBackend, MemoryBackend) {
        let store = MemoryBackend::default();
        (store.clone(), store)
    }

    tower_credentials::usage_conformance_tests!(backend_and_log);
}

mod sqlite {
    use std::sync::OnceLock;

    use test_support::suites::kept_sqlite;
    use tower_credentials::backend::sqlite::SqliteBackend;

    async fn shared_file() -> (SqliteBackend, SqliteBackend) {
        static SHARED: OnceLock<SqliteBackend> = OnceLock::new();
        let store = SHARED.get_or_init(|| kept_sqlite(env!("CARGO_TARGET_TMPDIR")));
        (store.clone(), store.clone())
    }

    tower_credentials::usage_conformance_tests!(shared_file);
}

type Backend = Arc<dyn CredentialBackend>;
type Case = fn(Backend, Arc<dyn UsageLog>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Every case of the suite, by name.
const CASES: &[(&str, Case)] =
    tower_credentials::__usage_conformance_cases!({ test_support::named_cases }(usage));

test_support::bugs! {
    BatchesAreCutShort: long_report_is_stored_and_returned_completely;
    ChangesForget: record_update_keeps_the_use;
    EmptyIsAnError: empty_report_and_query_are_not_errors;
    EverythingIsTold: only_requested_keys_are_returned;
    IdsFoldCase: keys_are_compared_bytewise;
    LastReportWins: older_use_does_not_replace_a_later_one
        key_reported_twice_at_once_keeps_the_later_use
        racing_reports_keep_the_latest_use;
    ReadsThenWrites: racing_reports_keep_the_latest_use;
    TimesAreWholeMinutes: use_is_returned_to_the_second;
    TimesHave32Bits: use_is_returned_to_the_second;
    UnknownIsAnError: unknown_keys_do_not_affect_others;
    UnusedIs1970: unknown_keys_do_not_affect_others;
}

/// A separate log, correct except for one bug.
#[derive(Debug)]
struct Mutant {
    bug: Option<Bug>,
    backend: MemoryBackend,
    last_used: Mutex<HashMap<CredentialId, SystemTime>>,
}

impl Mutant {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Returns the time as this log stores it.
    fn keep(&self, time: SystemTime) -> SystemTime {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let kept = match self.bug {
            Some(Bug::TimesAreWholeMinutes) => seconds / 60 * 60,
            Some(Bug::TimesHave32Bits) => seconds & u64::from(u32::MAX),
            _ => seconds,
        };
        UNIX_EPOCH + Duration::from_secs(kept)
    }

    fn id(&self, id: &CredentialId) -> CredentialId {
        if self.has(Bug::IdsFoldCase) {
            return CredentialId::from_stored(id.as_str().to_lowercase());
        }
        id.clone()
    }
}

#[async_trait]
impl UsageLog for Mutant {
    async fn record(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        if self.has(Bug::EmptyIsAnError) && uses.is_empty() {
            return Err(UsageError::new("no rows"));
        }
        let most = if self.has(Bug::BatchesAreCutShort) { 100 } else { usize::MAX };
        for (id, time) in uses.iter().take(most) {
            if self.has(Bug::UnknownIsAnError) && self.backend.get(id).await.unwrap().is_none() {
                return Err(UsageError::new("no such key"));
            }
            let (id, time) = (self.id(id), self.keep(*time));
            let known = self.last_used.lock().unwrap().get(&id).copied();
            if self.has(Bug::ReadsThenWrites) {
                yield_now().await;
                tokio::time::sleep(Duration::from_millis(2)).await;
                if known.is_none_or(|known| known < time) {
                    self.last_used.lock().unwrap().insert(id, time);
                }
                continue;
            }
            let mut last_used = self.last_used.lock().unwrap();
            let latest = last_used.entry(id).or_insert(time);
            if *latest < time || self.has(Bug::LastReportWins) {
                *latest = time;
            }
        }
        Ok(())
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        let changed = async |id: &CredentialId| {
            let record = self.backend.get(id).await.unwrap();
            record.is_some_and(|record| record.created_at != record.updated_at)
        };
        let mut answer = HashMap::new();
        for id in ids {
            if self.has(Bug::ChangesForget) && changed(id).await {
                continue;
            }
            let known = self.last_used.lock().unwrap().get(&self.id(id)).copied();
            let known = known.or_else(|| self.has(Bug::UnusedIs1970).then_some(UNIX_EPOCH));
            answer.extend(known.map(|time| (id.clone(), time)));
        }
        if self.has(Bug::EverythingIsTold) {
            answer.extend(self.last_used.lock().unwrap().clone());
        }
        Ok(answer)
    }
}

/// Returns whether the case passes with a log that has this bug.
async fn passes(case: Case, bug: Option<Bug>) -> bool {
    let backend = MemoryBackend::default();
    let log = Mutant { bug, backend: backend.clone(), last_used: Mutex::default() };
    tokio::spawn(case(Arc::new(backend), Arc::new(log))).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn log_without_a_bug_passes_every_case() {
    for (name, case) in CASES {
        assert!(passes(*case, None).await, "{name}");
    }
}
