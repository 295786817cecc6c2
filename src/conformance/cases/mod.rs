//! The cases, one function per clause.
//!
//! [`backend_conformance_tests!`](crate::backend_conformance_tests) runs them all. Call a function
//! to run one case. Each takes a backend, which may contain other data, and panics if the clause
//! is violated.

mod cancel;
mod delete;
mod insert;
mod list;
mod list_expiry;
mod lookup;
mod paging;
mod purge;
mod quota;
mod race;
mod race_paging;
mod race_update;
mod rotate;
mod update;

/// Calls a macro with an argument and every case: the only list of the cases.
///
/// The modules above are private, so that the compiler reports a case which is missing here as
/// dead code.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ({ $($callback:tt)+ } $argument:tt) => {
        $($callback)+! {
            $argument
            cancel {
                dropped_delete_happens_completely_or_not_at_all
                dropped_insert_happens_completely_or_not_at_all
                dropped_update_happens_completely_or_not_at_all
            }
            delete {
                recreated_record_is_a_new_record
                delete_frees_id_access_key_and_slot
                delete_leaves_other_records_alone
                delete_needs_the_expected_version
                delete_of_unknown_record_is_false
            }
            insert {
                overlong_record_is_stored_or_reported_unstorable
                refused_insert_leaves_nothing_behind
                insert_keeps_attributes
                insert_keeps_every_delegation
                insert_keeps_root_key_marks
                insert_keeps_every_field
                insert_keeps_every_material
                insert_keeps_times_to_the_microsecond
                insert_refuses_a_taken_access_key
                insert_refuses_a_taken_id
                insert_refuses_a_taken_slot
            }
            list {
                list_filters_by_kind
                list_filters_by_project
                list_filters_by_user
                list_filters_narrow_together
                list_returns_complete_records
                list_without_matches_is_an_empty_page
                list_order_by_access_key_is_bytewise
                list_order_by_id_is_bytewise
                list_order_of_digits_is_that_of_other_ids
                list_shows_records_with_an_access_key_first
            }
            list_expiry {
                list_order_by_expiry_applies_filters
                list_order_by_expiry_ends_before_a_time
                list_order_by_expiry_follows_writes
                list_order_by_expiry_is_by_time_and_id
            }
            lookup {
                access_keys_and_ids_are_compared_bytewise
                owners_are_compared_bytewise
                slots_belong_to_their_user
                unknown_records_are_none
                reads_see_every_completed_write
            }
            paging {
                page_has_at_most_limit_records
                page_of_long_records_is_short
                write_while_paging_does_not_affect_other_records
                empty_marker_is_ignored
                markers_are_exclusive_and_need_not_exist
                next_is_none_exactly_when_nothing_follows
                next_visits_every_record_once
                sparse_matches_are_all_found
            }
            purge {
                purge_frees_access_keys_slots_and_quota
                purge_is_not_bounded_by_a_page
                purge_without_records_returns_zero
                purge_project_deletes_its_records_and_no_others
                purge_user_deletes_their_records_and_no_others
            }
            quota {
                full_quota_is_reported_before_a_duplicate
                quota_below_current_count_rejects_every_insert
                delete_frees_quota
                quota_counts_all_records_of_the_user
                quota_does_not_count_other_users
                update_takes_no_quota
            }
            race {
                insert_racing_a_purge_is_complete_or_absent
                quota_holds_under_racing_inserts
                racing_inserts_into_one_slot_have_one_winner
                racing_inserts_of_one_access_key_have_one_winner
                racing_inserts_of_one_id_have_one_winner
            }
            race_paging {
                paging_under_racing_writes_visits_lasting_records_once
            }
            race_update {
                delete_racing_an_update_leaves_one_state
                racing_deletes_have_one_winner
                racing_updates_from_one_version_have_one_winner
                racing_updates_to_one_access_key_have_one_winner
                readers_never_see_a_partial_write
            }
            rotate {
                racing_rotations_of_one_version_have_one_winner
                rotate_may_change_the_retired_access_key
                rotate_needs_the_expected_version
                rotate_over_a_full_quota_changes_nothing
                rotate_refuses_taken_names
                rotate_stores_both_states
            }
            update {
                update_follows_a_new_access_key
                update_adds_and_removes_an_access_key
                update_moves_a_record_to_another_owner
                update_needs_the_expected_version
                update_of_unknown_record_is_false
                update_refuses_a_taken_access_key
                update_refuses_a_taken_slot
                update_replaces_the_record
            }
        }
    };
}

macro_rules! publish {
    (() $($subject:ident { $($case:ident)+ })+) => {
        $(pub use self::$subject::{$($case),+};)+
    };
}

__conformance_cases!({ publish }());
