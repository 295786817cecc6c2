//! The conformance suites: on servers that may not be installed, and against wrong stores.

use std::path::Path;

use tower_credentials::backend::sqlite::SqliteBackend;

/// Opens a new store for a static, below `CARGO_TARGET_TMPDIR` because statics are never dropped.
pub fn kept_sqlite(folder: &str) -> SqliteBackend {
    let folder = tempfile::tempdir_in(Path::new(folder)).unwrap().keep();
    SqliteBackend::open(folder.join("credentials.db")).unwrap()
}

/// As the library's macros for authors of backends. Skips if `$make` returns `None`.
#[macro_export]
macro_rules! live_suite {
    (($make:path) $($subject:ident { $($case:ident)+ })+) => {$($(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            if let Some(backend) = $make().await {
                tower_credentials::conformance::cases::$case(std::sync::Arc::new(backend)).await;
            }
        }
    )+)+};
    (($suite:ident, $make:path) $($case:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            if let Some(pair) = $make().await {
                let (backend, other) = tower_credentials::conformance::shared(pair);
                tower_credentials::conformance::$suite::$case(backend, other).await;
            }
        }
    )+};
}

/// Every case of a suite with its name. For the cases macro of the suite.
#[macro_export]
macro_rules! named_cases {
    (@ $suite:ident $case:ident ($($argument:ident)+)) => {
        (stringify!($case), |$($argument),+| {
            Box::pin(tower_credentials::conformance::$suite::$case($($argument),+))
        })
    };
    ((cases) $($subject:ident { $($case:ident)+ })+) => {
        &[$($($crate::named_cases!(@ cases $case (backend))),+),+]
    };
    (($suite:ident) $($case:ident)+) => {
        &[$($crate::named_cases!(@ $suite $case (backend other))),+]
    };
}

/// Defines the `Bug`s that a wrong store can have, each with the cases that must fail because of
/// it, and the tests that they do. Expects `CASES` and `async fn passes(case, bug) -> bool`.
#[macro_export]
macro_rules! bugs {
    ($($bug:ident: $($case:ident)+;)+) => {
        /// A bug of the mutant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Bug {
            $($bug),+
        }

        /// The cases that must fail because of it.
        const BUGS: &[(Bug, &[&str])] = &[$((Bug::$bug, &[$(stringify!($case)),+])),+];

        #[tokio::test(flavor = "multi_thread")]
        async fn every_bug_is_caught_by_its_cases() {
            let mut missed = Vec::new();
            for (bug, cases) in BUGS {
                for name in *cases {
                    let case = CASES.iter().find(|(case, _)| case == name);
                    if passes(case.expect("a known case").1, Some(*bug)).await {
                        missed.push((bug, name));
                    }
                }
            }
            assert!(missed.is_empty(), "not caught: {missed:#?}");
        }

        #[test]
        fn every_case_has_a_bug_to_catch() {
            let is_caught = |name| BUGS.iter().any(|(_, cases)| cases.contains(name));
            let names = CASES.iter().map(|(name, _)| name);
            let idle: Vec<_> = names.filter(|name| !is_caught(name)).collect();
            assert!(idle.is_empty(), "never seen to fail: {idle:#?}");
        }
    };
}
