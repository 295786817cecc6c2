//! The suite for authors of bulk loads: one test per clause of the contract.
//!
//! Its functions are the clauses of the *Contract* of
//! [`BulkLoad`](crate::backend::BulkLoad);
//! [`bulk_load_conformance_tests!`](crate::bulk_load_conformance_tests) turns them into
//! one test each. What is said of the [suite for backends](crate::conformance) is true of
//! this one.
//!
//! What is loaded is looked at through the backend, so the suite takes both: two handles
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

use std::sync::Arc;

mod cases;
mod races;

/// Expands to one multi-threaded `#[tokio::test]` per case of the suite for bulk loads.
///
/// The argument is the path of an async function without parameters that returns a
/// [`CredentialBackend`](crate::backend::CredentialBackend) and a
/// [`BulkLoad`](crate::backend::BulkLoad) of the same store, as a pair; each test calls it
/// once. All else is as for
/// [`backend_conformance_tests!`](crate::backend_conformance_tests).
///
/// See the [module](crate::conformance::bulk) for an example.
#[macro_export]
macro_rules! bulk_load_conformance_tests {
    ($make:path) => {
        $crate::__bulk_load_conformance_cases!({ $crate::__bulk_load_conformance_tests }($make));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __bulk_load_conformance_tests {
    (($make:path) $($case:ident)+) => {$(
        #[::tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let (backend, load) = $crate::conformance::bulk::shared($make().await);
            $crate::conformance::bulk::$case(backend, load).await;
        }
    )+};
}

/// What the cases take.
#[doc(hidden)]
#[must_use]
pub fn shared<B, L>((backend, load): (B, L)) -> (Arc<B>, Arc<L>) {
    (Arc::new(backend), Arc::new(load))
}

/// Calls a macro with an argument and every case: the only list there is.
#[doc(hidden)]
#[macro_export]
macro_rules! __bulk_load_conformance_cases {
    ({ $($callback:tt)+ } $argument:tt) => {
        $($callback)+! {
            $argument
            a_dropped_load_leaves_records_whole_or_not_at_all
            a_load_as_long_as_they_come_is_stored_whole
            a_load_of_nothing_is_no_error
            a_record_that_is_too_long_stops_no_other
            a_refused_record_leaves_nothing_behind
            a_refused_record_stops_no_other
            another_version_of_what_is_there_is_refused
            keys_are_told_apart_bytewise
            loaded_records_are_changed_and_deleted_like_others
            loaded_records_count_in_quotas
            loading_again_does_nothing
            outcomes_come_in_the_order_of_the_records
            quotas_are_not_asked
            racing_loads_and_inserts_of_one_access_key_have_one_winner
            racing_loads_of_the_same_records_store_each_once
            records_are_stored_as_they_are
            records_that_differ_in_one_field_are_not_the_same
            two_records_of_one_load_that_clash_are_not_both_stored
            what_is_changed_meanwhile_stays
            what_is_there_stays
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
