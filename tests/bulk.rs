//! The bulk load suite over the memory and SQLite stores, and over stores with bugs, which it
//! must detect.

use std::{pin::Pin, sync::Arc, time::Duration};

use tower_credentials::{
    async_trait,
    backend::{
        BackendError, CredentialBackend,
        contract::{BulkLoad, Loaded},
        memory::MemoryBackend,
    },
    domain::{AccessKey, Credential, CredentialId, Material, Quota, UserId, Version},
};

mod memory {
    use super::MemoryBackend;

    async fn backend_and_load() -> (MemoryBackend, MemoryBackend) {
        let store = MemoryBackend::default();
        (store.clone(), store)
    }

    tower_credentials::bulk_load_conformance_tests!(backend_and_load);
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

    tower_credentials::bulk_load_conformance_tests!(shared_file);
}

type Case =
    fn(Arc<dyn CredentialBackend>, Arc<dyn BulkLoad>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Every case of the suite, by name.
const CASES: &[(&str, Case)] =
    tower_credentials::__bulk_load_conformance_cases!({ test_support::named_cases }(bulk));

test_support::bugs! {
    ChecksEarly: racing_loads_and_inserts_of_one_access_key_have_one_winner
        concurrent_update_is_kept racing_loads_of_the_same_records_store_each_once;
    ClashesInALoadAreMissed: conflicting_records_of_one_load_are_not_both_stored;
    CountsAgain: loaded_records_count_in_quotas;
    EmptyIsAnError: empty_load_is_not_an_error;
    FirstRefusalEndsIt: refused_record_does_not_stop_the_others;
    IdsAreComparedOnly: records_that_differ_in_one_field_are_not_the_same
        other_version_of_a_stored_record_is_refused stored_records_stay_unchanged;
    IsCutShort: longest_load_is_stored_completely;
    KeysFoldCase: keys_are_compared_bytewise;
    MaterialIsDropped: records_are_stored_unchanged;
    OutcomesAreSorted: results_are_in_the_order_of_the_records;
    Overwrites: stored_records_stay_unchanged other_version_of_a_stored_record_is_refused;
    QuotasAreAsked: quotas_are_not_checked;
    RefusedLeavesItsKey: refused_record_leaves_nothing_behind;
    TooLongIsAnOutage: overlong_record_does_not_stop_the_others;
    TwiceIsRefused: repeated_load_changes_nothing;
    VersionsAreRenewed: loaded_records_can_be_changed_and_deleted
        records_are_stored_unchanged;
    WritesInHalves: dropped_load_stores_each_record_completely_or_not_at_all;
}

/// A correct store with at most one bug.
#[derive(Clone, Debug)]
struct Mutant {
    bug: Option<Bug>,
    store: MemoryBackend,
}

impl Mutant {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The record as this store writes it.
    fn stored_form(&self, record: &Credential) -> Arc<Credential> {
        let mut kept = record.clone();
        match self.bug {
            Some(Bug::KeysFoldCase) => {
                let folded = |key: &AccessKey| AccessKey::from_stored(key.as_str().to_lowercase());
                kept.access_key = kept.access_key.as_ref().map(folded);
            }
            Some(Bug::MaterialIsDropped) if !matches!(kept.material, Material::KeyPair { .. }) => {
                kept.material = Material::KeyPair { secret: None };
            }
            Some(Bug::VersionsAreRenewed) => kept.version = Version::fresh(),
            _ => {}
        }
        Arc::new(kept)
    }

    async fn load_one(&self, record: &Arc<Credential>) -> Loaded {
        let record = &self.stored_form(record);
        let there = self.store.get(&record.id).await.unwrap();
        match self.bug {
            Some(Bug::ChecksEarly) => {
                tokio::time::sleep(Duration::from_millis(2)).await;
                if there.is_none() {
                    let _ = self.store.insert(record, Quota::Unlimited).await;
                    return Loaded::Stored;
                }
                let current = self.store.get(&record.id).await.unwrap().unwrap();
                let _ = self.store.update(record, current.version).await;
                return Loaded::AlreadyThere;
            }
            Some(Bug::CountsAgain) if there.is_some() => {
                let mut counted = (**record).clone();
                counted.id = CredentialId::random().unwrap();
                (counted.access_key, counted.slot) = (None, None);
                self.store.insert(&counted.into(), Quota::Unlimited).await.unwrap();
            }
            Some(Bug::IdsAreComparedOnly) if there.is_some() => return Loaded::AlreadyThere,
            Some(Bug::Overwrites) => {
                if let Some(there) = there {
                    let _ = self.store.update(record, there.version).await;
                    return Loaded::Refused;
                }
            }
            Some(Bug::QuotasAreAsked) => {
                let quota = Quota::AtMost(1);
                return match self.store.insert(record, quota).await {
                    Ok(()) => Loaded::Stored,
                    Err(_) => Loaded::Refused,
                };
            }
            Some(Bug::TwiceIsRefused) if there.is_some() => return Loaded::Refused,
            Some(Bug::WritesInHalves) if there.is_none() => {
                let mut half = (**record).clone();
                half.access_key = None;
                half.version = Version::fresh();
                self.store.insert(&half.clone().into(), Quota::Unlimited).await.unwrap();
                tokio::time::sleep(Duration::from_micros(100)).await;
                self.store.update(record, half.version).await.unwrap();
                return Loaded::Stored;
            }
            _ => {}
        }
        let outcome = self.store.load(std::slice::from_ref(record)).await.unwrap()[0];
        if outcome == Loaded::Refused && self.has(Bug::RefusedLeavesItsKey) {
            let mut rest = (**record).clone();
            rest.slot = None;
            rest.user_id = UserId::new("another-user").unwrap();
            let _ = self.store.insert(&rest.into(), Quota::Unlimited).await;
        }
        outcome
    }
}

#[async_trait]
impl BulkLoad for Mutant {
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
        if self.has(Bug::EmptyIsAnError) && records.is_empty() {
            return Err(BackendError::Unavailable("no rows".into()));
        }
        if self.has(Bug::TooLongIsAnOutage) && records.iter().any(|record| record.size() > 1 << 20)
        {
            return Err(BackendError::Unavailable("too long".into()));
        }
        let mut outcomes = Vec::new();
        for (index, record) in records.iter().enumerate() {
            if self.has(Bug::FirstRefusalEndsIt) && outcomes.contains(&Loaded::Refused) {
                outcomes.push(Loaded::Refused);
            } else if self.has(Bug::IsCutShort) && index >= 5_000 {
                outcomes.push(Loaded::Stored);
            } else {
                outcomes.push(self.load_one(record).await);
            }
        }
        if self.has(Bug::ClashesInALoadAreMissed) && records.len() == 2 {
            outcomes = vec![Loaded::Stored; 2];
        }
        if self.has(Bug::OutcomesAreSorted) {
            outcomes.sort_unstable_by_key(|outcome| *outcome as u8);
        }
        Ok(outcomes)
    }
}

/// Whether the case passes a store with this bug.
async fn passes(case: Case, bug: Option<Bug>) -> bool {
    let store = MemoryBackend::default();
    let load = Mutant { bug, store: store.clone() };
    tokio::spawn(case(Arc::new(store), Arc::new(load))).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn store_without_a_bug_passes_every_case() {
    for (name, case) in CASES {
        assert!(passes(*case, None).await, "{name}");
    }
}
