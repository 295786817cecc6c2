//! The suite for authors of logs of uses: one test per clause of the contract.
//!
//! Its functions are the clauses of the *Contract* of
//! [`UsageLog`](crate::usage::UsageLog);
//! [`usage_conformance_tests!`](crate::usage_conformance_tests) turns them into one test each.
//! The notes on the [suite for backends](crate::conformance) apply here too.
//!
//! A log may be stored with the keys, so the suite creates the keys that it reports on. It
//! takes a log and the backend with these keys; a separate log works with any backend.
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

mod cases;

/// Expands to one multi-threaded `#[tokio::test]` per case of the suite for logs of
/// uses.
///
/// The argument is the path of an async function without parameters that returns a
/// [`CredentialBackend`](crate::backend::CredentialBackend) and a
/// [`UsageLog`](crate::usage::UsageLog), as a pair; each test calls it once. Otherwise the
/// macro works like [`backend_conformance_tests!`](crate::backend_conformance_tests).
///
/// See the [module](crate::conformance::usage) for an example.
#[macro_export]
macro_rules! usage_conformance_tests {
    ($make:path) => {
        $crate::__usage_conformance_cases!({ $crate::__pair_conformance_tests }(usage, $make));
    };
}

/// Calls a macro with an argument and every case: the only list of the cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __usage_conformance_cases {
    ({ $($callback:tt)+ } $argument:tt) => {
        $($callback)+! {
            $argument
            empty_report_and_query_are_not_errors
            key_reported_twice_at_once_keeps_the_later_use
            keys_are_compared_bytewise
            long_report_is_stored_and_returned_completely
            older_use_does_not_replace_a_later_one
            only_requested_keys_are_returned
            racing_reports_keep_the_latest_use
            record_update_keeps_the_use
            unknown_keys_do_not_affect_others
            use_is_returned_to_the_second
        }
    };
}

macro_rules! publish {
    (() $($case:ident)+) => {
        pub use self::cases::{$($case),+};
    };
}

__usage_conformance_cases!({ publish }());
