//! The suite for authors of bulk loads: one test per clause of the contract.
//!
//! Its functions are the clauses of the *Contract* of
//! [`BulkLoad`](crate::backend::contract::BulkLoad);
//! [`bulk_load_conformance_tests!`](crate::bulk_load_conformance_tests) turns them into one
//! test each. The notes on the [suite for backends](crate::conformance) apply here too.
//!
//! The cases read the loaded records through the backend, so the suite takes both: two handles
//! to one store.
//!
//! ```
//! # use tower_credentials::backend::memory::MemoryBackend as MyBackend;
//! #[cfg(test)]
//! mod tests {
//!     async fn backend_and_load() -> (super::MyBackend, super::MyBackend) {
//!         let backend = super::MyBackend::default();
//!         (backend.clone(), backend)
//!     }
//!
//!     tower_credentials::bulk_load_conformance_tests!(backend_and_load);
//! }
//! ```

mod cases;
mod races;

/// Expands to one multi-threaded `#[tokio::test]` per case of the suite for bulk loads.
///
/// The argument is the path of an async function without parameters that returns a
/// [`CredentialBackend`](crate::backend::CredentialBackend) and a
/// [`BulkLoad`](crate::backend::contract::BulkLoad) of the same store, as a pair; each test calls it
/// once. Otherwise the macro works like
/// [`backend_conformance_tests!`](crate::backend_conformance_tests).
///
/// See the [module](crate::conformance::bulk) for an example.
#[macro_export]
macro_rules! bulk_load_conformance_tests {
    ($make:path) => {
        $crate::__bulk_load_conformance_cases!({ $crate::__pair_conformance_tests }(bulk, $make));
    };
}

/// Calls a macro with an argument and every case: the only list of the cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __bulk_load_conformance_cases {
    ({ $($callback:tt)+ } $argument:tt) => {
        $($callback)+! {
            $argument
            concurrent_update_is_kept
            conflicting_records_of_one_load_are_not_both_stored
            dropped_load_stores_each_record_completely_or_not_at_all
            empty_load_is_not_an_error
            keys_are_compared_bytewise
            loaded_records_can_be_changed_and_deleted
            loaded_records_count_in_quotas
            longest_load_is_stored_completely
            other_version_of_a_stored_record_is_refused
            overlong_record_does_not_stop_the_others
            quotas_are_not_checked
            racing_loads_and_inserts_of_one_access_key_have_one_winner
            racing_loads_of_the_same_records_store_each_once
            records_are_stored_unchanged
            records_that_differ_in_one_field_are_not_the_same
            refused_record_does_not_stop_the_others
            refused_record_leaves_nothing_behind
            repeated_load_changes_nothing
            results_are_in_the_order_of_the_records
            stored_records_stay_unchanged
        }
    };
}

macro_rules! publish {
    (() $($case:ident)+) => {
        pub use self::all::{$($case),+};
    };
}

/// The cases of both files.
mod all {
    pub use super::{cases::*, races::*};
}

__bulk_load_conformance_cases!({ publish }());
