//! The conformance suite fails for wrong backends: the cases for each bug below catch it. A
//! suite that has never failed proves nothing.

mod behavior;
mod mutant;

use std::{
    any::Any,
    future::Future,
    panic,
    pin::Pin,
    sync::{Arc, Once},
    thread,
    time::Duration,
};

use tower_credentials::backend::{CredentialBackend, memory::MemoryBackend};

use crate::mutant::Mutant;

type Backend = Arc<dyn CredentialBackend>;
type Case = fn(Backend) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Every case of the suite, by name.
const CASES: &[(&str, Case)] =
    tower_credentials::__conformance_cases!({ test_support::named_cases }(cases));

test_support::bugs! {
    AccessKeysFoldCase: access_keys_and_ids_are_compared_bytewise;
    AttributesKeepNumbersAsFloats: insert_keeps_attributes;
    AttributesKeepOnlyTexts: insert_keeps_attributes;
    DelegationIsDropped: insert_keeps_every_delegation insert_keeps_every_field;
    DelegationLosesRestriction: insert_keeps_every_delegation;
    RootKeyIsDropped: insert_keeps_root_key_marks;
    DeleteChecksEarly: racing_deletes_have_one_winner delete_racing_an_update_leaves_one_state;
    DeleteIgnoresVersion: delete_needs_the_expected_version recreated_record_is_a_new_record;
    DeleteIsAlwaysTrue: delete_of_unknown_record_is_false racing_deletes_have_one_winner;
    DeleteKeepsAccessKey: delete_frees_id_access_key_and_slot recreated_record_is_a_new_record;
    DeleteTakesTheUsersOthers: delete_leaves_other_records_alone;
    DeleteWritesInHalves: dropped_delete_happens_completely_or_not_at_all;
    EmptyBeforeIsAMarker: empty_marker_is_ignored;
    ExpiryIsInSeconds: insert_keeps_every_field list_order_by_expiry_ends_before_a_time;
    FindBySlotIgnoresUser: slots_belong_to_their_user unknown_records_are_none;
    InsertChecksEarly: racing_inserts_into_one_slot_have_one_winner
        racing_inserts_of_one_access_key_have_one_winner racing_inserts_of_one_id_have_one_winner;
    InsertIgnoresTakenKeys: insert_refuses_a_taken_access_key
        racing_inserts_of_one_access_key_have_one_winner;
    InsertIgnoresTakenSlots: insert_refuses_a_taken_slot
        racing_inserts_into_one_slot_have_one_winner;
    InsertOverwrites: insert_refuses_a_taken_id racing_inserts_of_one_id_have_one_winner;
    InsertReportsDuplicateFirst: full_quota_is_reported_before_a_duplicate;
    InsertWritesInHalves: dropped_insert_happens_completely_or_not_at_all;
    LengthIsIgnored: page_of_long_records_is_short;
    LimitIsIgnored: page_has_at_most_limit_records next_visits_every_record_once;
    ListByExpiryIgnoresFilters: list_order_by_expiry_applies_filters
        list_order_by_expiry_is_by_time_and_id;
    ListByExpiryIgnoresId: list_order_by_expiry_is_by_time_and_id;
    ListEndsAtItsBound: sparse_matches_are_all_found;
    ListIgnoresKind: list_filters_by_kind list_filters_narrow_together;
    ListIgnoresProject: list_filters_by_project list_filters_narrow_together;
    ListIgnoresUser: list_filters_by_user list_filters_narrow_together;
    ListIsInOrderOfInsertion: list_order_by_access_key_is_bytewise list_order_by_id_is_bytewise;
    ListLeavesOutDelegation: list_returns_complete_records;
    ListLeavesOutRecordsWithoutKey: list_shows_records_with_an_access_key_first
        list_order_by_id_is_bytewise list_order_of_digits_is_that_of_other_ids
        update_adds_and_removes_an_access_key;
    ListMixesRecordsWithoutKey: list_shows_records_with_an_access_key_first;
    ListOrderFoldsCase: list_order_by_access_key_is_bytewise list_order_by_id_is_bytewise;
    ListShowsRecordsWithoutExpiry: list_order_by_expiry_follows_writes;
    ListTakesFirstFilterOnly: list_filters_narrow_together;
    LookupsAreCachedForever: reads_see_every_completed_write
        recreated_record_is_a_new_record update_follows_a_new_access_key;
    MarkersAreInclusive: markers_are_exclusive_and_need_not_exist next_visits_every_record_once
        write_while_paging_does_not_affect_other_records;
    MaterialIsReformatted: insert_keeps_every_material;
    NextIsNeverThere: next_visits_every_record_once next_is_none_exactly_when_nothing_follows
        sparse_matches_are_all_found;
    NextIsThereWhenFull: next_is_none_exactly_when_nothing_follows;
    OwnersFoldCase: owners_are_compared_bytewise;
    PagesAreNumbered: write_while_paging_does_not_affect_other_records
        paging_under_racing_writes_visits_lasting_records_once;
    PurgeCountsEarly: insert_racing_a_purge_is_complete_or_absent;
    PurgeKeepsAccessKeys: purge_frees_access_keys_slots_and_quota;
    PurgeKeepsOpaqueRecords: purge_project_deletes_its_records_and_no_others;
    PurgeKeepsProjectKeys: purge_user_deletes_their_records_and_no_others;
    PurgeTakesNamesakes: purge_project_deletes_its_records_and_no_others
        purge_user_deletes_their_records_and_no_others;
    PurgeTakesOnePage: purge_is_not_bounded_by_a_page;
    QuotaCountsActiveOnly: quota_counts_all_records_of_the_user;
    QuotaCountsOtherUsers: quota_does_not_count_other_users;
    QuotaCountsPairsOnly: quota_counts_all_records_of_the_user;
    QuotaCountsPerProject: quota_counts_all_records_of_the_user;
    QuotaIsCountedEarly: quota_holds_under_racing_inserts;
    QuotaIsNeverFreed: delete_frees_quota purge_frees_access_keys_slots_and_quota;
    QuotaOfZeroIsNone: quota_below_current_count_rejects_every_insert;
    RefusedInsertLeavesTheRecord: refused_insert_leaves_nothing_behind;
    RefusedRotationRetires: rotate_refuses_taken_names;
    RotateChecksVersionEarly: racing_rotations_of_one_version_have_one_winner;
    RotateIgnoresTakenNames: rotate_refuses_taken_names;
    RotateIgnoresVersion: rotate_needs_the_expected_version
        racing_rotations_of_one_version_have_one_winner;
    RotateKeepsAccessKey: rotate_may_change_the_retired_access_key;
    RotateKeepsTheOldRecord: rotate_stores_both_states
        racing_rotations_of_one_version_have_one_winner;
    RotateReportsDuplicateFirst: rotate_over_a_full_quota_changes_nothing;
    RotateTakesNoQuota: rotate_over_a_full_quota_changes_nothing;
    SlotsAreGlobal: slots_belong_to_their_user insert_refuses_a_taken_slot;
    StatusIsDropped: insert_keeps_every_field update_replaces_the_record;
    TermsAreDropped: insert_keeps_every_field update_replaces_the_record
        list_order_by_expiry_follows_writes rotate_stores_both_states;
    TimesAreWholeSeconds: insert_keeps_times_to_the_microsecond;
    TooLongIsAnOutage: overlong_record_is_stored_or_reported_unstorable;
    UnknownIsAnError: unknown_records_are_none;
    UnknownOwnerIsAnError: list_without_matches_is_an_empty_page purge_without_records_returns_zero;
    UpdateChecksKeysEarly: racing_updates_to_one_access_key_have_one_winner;
    UpdateChecksVersionEarly: racing_updates_from_one_version_have_one_winner;
    UpdateIgnoresTakenKeys: update_refuses_a_taken_access_key
        racing_updates_to_one_access_key_have_one_winner;
    UpdateIgnoresTakenSlots: update_refuses_a_taken_slot;
    UpdateIgnoresVersion: update_needs_the_expected_version
        racing_updates_from_one_version_have_one_winner;
    UpdateInserts: update_of_unknown_record_is_false;
    UpdateKeepsAccessKey: update_follows_a_new_access_key update_adds_and_removes_an_access_key;
    UpdateKeepsOwner: update_moves_a_record_to_another_owner;
    UpdateLeavesOldAccessKey: update_follows_a_new_access_key update_adds_and_removes_an_access_key;
    UpdateMergesAttributes: update_replaces_the_record;
    UpdateReportsDuplicateFirst: update_needs_the_expected_version;
    UpdateTakesQuota: update_takes_no_quota;
    UpdateWritesInHalves: dropped_update_happens_completely_or_not_at_all readers_never_see_a_partial_write;
}

#[tokio::test(flavor = "multi_thread")]
async fn backend_without_a_bug_passes_every_case() {
    for (name, case) in CASES {
        assert_eq!(run(*case, Arc::new(Mutant::new(None))).await, Ok(()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_pass_concurrently_in_one_store() {
    let shared: Backend = Arc::new(MemoryBackend::default());
    let runs: Vec<_> = (0..2)
        .flat_map(|_| CASES)
        .map(|(name, case)| (name, tokio::spawn(run(*case, Arc::clone(&shared)))))
        .collect();
    for (name, outcome) in runs {
        assert_eq!(outcome.await.unwrap(), Ok(()), "{name}");
    }
}

/// Whether the case passes a store with this bug.
async fn passes(case: Case, bug: Option<Bug>) -> bool {
    hush();
    run(case, Arc::new(Mutant::new(bug))).await.is_ok()
}

/// Runs a case; returns the message of its failure.
async fn run(case: Case, backend: Backend) -> Result<(), String> {
    let outcome = tokio::spawn(tokio::time::timeout(Duration::from_mins(1), case(backend)));
    match outcome.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_elapsed)) => Err("the case did not end".into()),
        Err(panicked) => Err(message(&*panicked.into_panic())),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// Cases run on the runtime's own threads, whose panics are expected here. Panics of the
/// tests' own threads are still printed.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !thread::current().name().is_some_and(|name| name.starts_with("tokio")) {
                report(panic);
            }
        }));
    });
}
