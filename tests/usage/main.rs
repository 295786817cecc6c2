//! Tests when keys were last used: collecting uses, and the logs that store them.

mod allocating;
mod collecting;
mod keeping;
mod logs;
mod reporting;
mod suite;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use test_support::{counting, records};
use tower_credentials::domain::Credential;

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

/// A key pair with this access key.
fn key(access: &str) -> Credential {
    records::pair("bob", access, "secret")
}

/// A fixed time plus `seconds`.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
}
