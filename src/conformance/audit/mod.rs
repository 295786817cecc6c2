//! The suite for authors of audit sinks: one test per clause of the contract.
//!
//! Its functions are the clauses of the contract of [`AuditSink`](crate::audit::AuditSink);
//! [`audit_conformance_tests!`](crate::audit_conformance_tests) turns them into one test each. The
//! notes on the [suite for backends](crate::conformance) apply here too.
//!
//! A sink only writes. The suite needs a [`Recorded`] of the author, which reads the events back.
//!
//! ```
//! # use async_trait::async_trait;
//! # use tower_credentials::{
//! #     audit::{AuditId, AuditOutcome, TracingSink as MySink}, conformance::audit::Recorded,
//! # };
//! struct Events;
//!
//! #[async_trait]
//! impl Recorded for Events {
//!     async fn recorded(&self) -> Vec<(AuditId, AuditOutcome)> {
//!         // Reads what the sink has written.
//! #       Vec::new()
//!     }
//! }
//!
//! #[cfg(test)]
//! mod tests {
//!     async fn sink_and_events() -> (super::MySink, super::Events) {
//!         (super::MySink::new(), super::Events)
//!     }
//!
//!     tower_credentials::audit_conformance_tests!(sink_and_events);
//! }
//! ```

mod cases;
mod recorded;

pub use self::recorded::Recorded;

/// Expands to one multi-threaded `#[tokio::test]` per case of the suite for audit sinks.
///
/// The argument is the path of an async function without parameters that returns an
/// [`AuditSink`](crate::audit::AuditSink) without events, and a
/// [`Recorded`] that reads it, as a pair; each test calls it
/// once. Otherwise the macro works like
/// [`backend_conformance_tests!`](crate::backend_conformance_tests).
///
/// See the [module](crate::conformance::audit) for an example.
#[macro_export]
macro_rules! audit_conformance_tests {
    ($make:path) => {
        $crate::__audit_conformance_cases!({ $crate::__pair_conformance_tests }(audit, $make));
    };
}

/// Calls a macro with an argument and every case: the only list of the cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __audit_conformance_cases {
    ({ $($callback:tt)+ } $argument:tt) => {
        $($callback)+! {
            $argument
            concurrent_events_are_all_recorded
            events_are_recorded_once_in_their_order
            hostile_text_makes_no_other_event
            intent_has_one_outcome
            withdrawn_change_is_never_done
        }
    };
}

macro_rules! publish {
    (() $($case:ident)+) => {
        pub use self::cases::{$($case),+};
    };
}

__audit_conformance_cases!({ publish }());
