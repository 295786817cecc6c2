//! The suite for authors of logs of uses: one test per clause of the contract.
//!
//! Its functions are the clauses of the *Contract* of
//! [`UsageLog`](crate::usage::UsageLog);
//! [`usage_conformance_tests!`](crate::usage_conformance_tests) turns them into one
//! test each. What is said of the [suite for backends](crate::conformance) is true of
//! this one.
//!
//! A log may be kept with the keys, so the suite makes the keys that it reports on:
//! it takes a log and the backend whose keys it is about. With a log that is kept
//! apart goes any backend.
//!
//! ```
//! # use tower_credentials::backend::memory::MemoryBackend;
//! # use tower_credentials::backend::memory::MemoryBackend as MyLog;
//! #[cfg(test)]
//! mod tests {
//!     async fn backend_and_log() -> (MemoryBackend, super::MyLog) {
//!         (MemoryBackend::default(), super::MyLog::default())
//!     }
//!
//!     tower_credentials::usage_conformance_tests!(backend_and_log);
//! }
//! ```

use std::sync::Arc;

mod cases;

/// Expands to one multi-threaded `#[tokio::test]` per case of the suite for logs of
/// uses.
///
/// The argument is the path of an async function without parameters that returns a
/// [`CredentialBackend`](crate::backend::CredentialBackend) and a
/// [`UsageLog`](crate::usage::UsageLog), as a pair; each test calls it once. All else
/// is as for [`backend_conformance_tests!`](crate::backend_conformance_tests).
///
/// See the [module](crate::conformance::usage) for an example.
#[macro_export]
macro_rules! usage_conformance_tests {
    ($make:path) => {
        $crate::__usage_conformance_cases!({ $crate::__usage_conformance_tests }($make));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __usage_conformance_tests {
    (($make:path) $($case:ident)+) => {$(
        #[::tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let (backend, log) = $crate::conformance::usage::shared($make().await);
            $crate::conformance::usage::$case(backend, log).await;
        }
    )+};
}

/// What the cases take.
#[doc(hidden)]
#[must_use]
pub fn shared<B, L>((backend, log): (B, L)) -> (Arc<B>, Arc<L>) {
    (Arc::new(backend), Arc::new(log))
}

/// Calls a macro with an argument and every case: the only list there is.
#[doc(hidden)]
#[macro_export]
macro_rules! __usage_conformance_cases {
    ({ $($callback:tt)+ } $argument:tt) => {
        $($callback)+! {
            $argument
            a_change_of_the_record_keeps_the_use
            a_key_reported_twice_at_once_was_used_at_the_later_time
            a_long_report_is_noted_whole_and_told_whole
            a_use_is_told_to_the_second
            an_older_use_moves_nothing_back
            keys_are_told_apart_bytewise
            nothing_is_noted_and_told_without_an_error
            only_what_is_asked_for_is_told
            racing_reports_leave_the_latest_use
            unknown_keys_disturb_no_others
        }
    };
}

macro_rules! publish {
    (() $($case:ident)+) => {
        pub use self::cases::{$($case),+};
    };
}

__usage_conformance_cases!({ publish }());
