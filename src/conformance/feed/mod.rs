//! The suite for authors of feeds of changes: one test per clause of the contract.
//!
//! Its functions are the clauses of the *Contract* of
//! [`ChangeFeed`](crate::backend::contract::ChangeFeed);
//! [`feed_conformance_tests!`](crate::feed_conformance_tests) turns them into one test each.
//! The notes on the [suite for backends](crate::conformance) apply here too.
//!
//! Two clauses are up to the store's own tests: a feed reports writes of other processes, and
//! ends if it may have missed a change.
//!
//! ```
//! # use tower_credentials::backend::memory::MemoryBackend as MyBackend;
//! #[cfg(test)]
//! mod tests {
//!     async fn backend_and_feed() -> (super::MyBackend, super::MyBackend) {
//!         let backend = super::MyBackend::default();
//!         (backend.clone(), backend)
//!     }
//!
//!     tower_credentials::feed_conformance_tests!(backend_and_feed);
//! }
//! ```

mod cases;

/// Expands to one multi-threaded `#[tokio::test]` per case of the suite for feeds of
/// changes.
///
/// The argument is the path of an async function without parameters that returns a
/// [`CredentialBackend`](crate::backend::CredentialBackend) and the
/// [`ChangeFeed`](crate::backend::contract::ChangeFeed) of its changes, as a pair; each test calls
/// it once. Otherwise the macro works like
/// [`backend_conformance_tests!`](crate::backend_conformance_tests).
///
/// See the [module](crate::conformance::feed) for an example.
#[macro_export]
macro_rules! feed_conformance_tests {
    ($make:path) => {
        $crate::__feed_conformance_cases!({ $crate::__pair_conformance_tests }(feed, $make));
    };
}

/// Calls a macro with an argument and every case: the only list of the cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __feed_conformance_cases {
    ({ $($callback:tt)+ } $argument:tt) => {
        $($callback)+! {
            $argument
            changes_are_reported_after_they_were_made
            changes_of_one_record_are_reported_in_order
            completed_write_is_in_the_next_complete_notice
            delete_is_reported
            every_subscription_receives_the_changes
            idle_feed_is_complete
            insert_is_reported_with_its_access_key
            new_access_key_is_reported_with_its_record
            purges_are_reported
            racing_writes_are_all_reported
            rotation_reports_both_records
        }
    };
}

macro_rules! publish {
    (() $($case:ident)+) => {
        pub use self::cases::{$($case),+};
    };
}

__feed_conformance_cases!({ publish }());
