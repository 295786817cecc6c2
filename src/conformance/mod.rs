//! The suite for authors of backends: one test per clause of the contract.
//!
//! [`cases`] holds one function for each clause of the *Contract* of
//! [`CredentialBackend`](crate::backend::CredentialBackend).
//! [`backend_conformance_tests!`](crate::backend_conformance_tests) turns them into one test
//! each, so that each failure has a name and hides no other.
//!
//! # Running it against your backend
//!
//! ```toml
//! [dev-dependencies]
//! tower-credentials = { version = "0.1", features = ["conformance"] }
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! ```
//!
//! ```
//! # use tower_credentials::backend::memory::MemoryBackend as MyBackend;
//! #[cfg(test)]
//! mod tests {
//!     async fn backend() -> super::MyBackend {
//!         super::MyBackend::default()
//!     }
//!
//!     tower_credentials::backend_conformance_tests!(backend);
//! }
//! ```
//!
//! `examples/custom_backend.rs` is a complete backend with its tests.
//!
//! # What to expect
//!
//! * **It never deletes other data.** Every case creates users, projects and keys with random
//!   names, so that the suite can run in parallel, against one shared store, and beside other
//!   data. It leaves its records behind.
//! * **It does not skip.** Every case runs, and no flag excludes a feature that a store lacks.
//!   If the store cannot be reached, its constructor should panic.
//! * **It is exempt from semantic versioning.** A new case may fail a backend
//!   that was wrong all along.
//! * A green run is strong evidence but not a proof. The suite provokes races but does not
//!   enumerate them. Durability across a crash is up to the store's own tests.

use std::sync::Arc;

pub mod audit;
pub mod bulk;
pub mod cases;
pub mod feed;
mod fixtures;
pub mod usage;

/// Expands to one multi-threaded `#[tokio::test]` per case of the suite.
///
/// The argument is the path of an async function without parameters that returns
/// a [`CredentialBackend`](crate::backend::CredentialBackend); each test calls it
/// once. It may return a new store each time or another handle to a shared one.
/// The calling crate needs `tokio` with `macros` and `rt-multi-thread` as a dev-dependency.
/// Use one module for each suite in a file.
///
/// See the [module](crate::conformance) for an example.
#[macro_export]
macro_rules! backend_conformance_tests {
    ($make:path) => {
        $crate::__conformance_cases!({ $crate::__conformance_tests }($make));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (($make:path) $($subject:ident { $($case:ident)+ })+) => {$($(
        #[::tokio::test(flavor = "multi_thread")]
        async fn $case() {
            $crate::conformance::cases::$case(::std::sync::Arc::new($make().await)).await;
        }
    )+)+};
}

/// The same for a suite whose cases take a backend and something else of the same store.
#[doc(hidden)]
#[macro_export]
macro_rules! __pair_conformance_tests {
    (($suite:ident, $make:path) $($case:ident)+) => {$(
        #[::tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let (backend, other) = $crate::conformance::shared($make().await);
            $crate::conformance::$suite::$case(backend, other).await;
        }
    )+};
}

/// What the cases of such a suite take.
#[doc(hidden)]
#[must_use]
pub fn shared<B, O>((backend, other): (B, O)) -> (Arc<B>, Arc<O>) {
    (Arc::new(backend), Arc::new(other))
}
