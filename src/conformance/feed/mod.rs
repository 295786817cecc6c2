//! The suite for authors of feeds of changes: one test per clause of the contract.
//!
//! Its functions are the clauses of the *Contract* of
//! [`ChangeFeed`](crate::backend::ChangeFeed);
//! [`feed_conformance_tests!`](crate::feed_conformance_tests) turns them into one test
//! each. What is said of the [suite for backends](crate::conformance) is true of this one.
//!
//! That writes of other processes are told, and that a feed which may have missed
//! something ends, is for the store's own tests.
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

use std::sync::Arc;

mod cases;

/// Expands to one multi-threaded `#[tokio::test]` per case of the suite for feeds of
/// changes.
///
/// The argument is the path of an async function without parameters that returns a
/// [`CredentialBackend`](crate::backend::CredentialBackend) and the
/// [`ChangeFeed`](crate::backend::ChangeFeed) of its changes, as a pair; each test calls
/// it once. All else is as for
/// [`backend_conformance_tests!`](crate::backend_conformance_tests).
///
/// See the [module](crate::conformance::feed) for an example.
#[macro_export]
macro_rules! feed_conformance_tests {
    ($make:path) => {
        $crate::__feed_conformance_cases!({ $crate::__feed_conformance_tests }($make));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __feed_conformance_tests {
    (($make:path) $($case:ident)+) => {$(
        #[::tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let (backend, feed) = $crate::conformance::feed::shared($make().await);
            $crate::conformance::feed::$case(backend, feed).await;
        }
    )+};
}

/// What the cases take.
#[doc(hidden)]
#[must_use]
pub fn shared<B, F>((backend, feed): (B, F)) -> (Arc<B>, Arc<F>) {
    (Arc::new(backend), Arc::new(feed))
}

/// Calls a macro with an argument and every case: the only list there is.
#[doc(hidden)]
#[macro_export]
macro_rules! __feed_conformance_cases {
    ({ $($callback:tt)+ } $argument:tt) => {
        $($callback)+! {
            $argument
            a_delete_is_told
            a_new_access_key_is_told_with_its_record
            an_insert_is_told_with_its_access_key
            changes_of_one_record_are_told_in_their_order
            every_subscription_is_told
            nothing_is_told_before_it_was_done
            purges_are_told
            racing_writes_are_all_told
            silence_is_complete
            what_was_answered_is_told_by_the_next_complete_notice
        }
    };
}

macro_rules! publish {
    (() $($case:ident)+) => {
        pub use self::cases::{$($case),+};
    };
}

__feed_conformance_cases!({ publish }());
