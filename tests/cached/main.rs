//! Tests `Cached`: lookups from memory, and their limits.

mod aging;
mod allocations;
mod bounds;
mod by_id;
mod conformance;
mod copies;
mod following;
mod outages;
mod races;
mod sharing;
mod stats;
mod watched;
mod writes;

use std::time::UNIX_EPOCH;

use test_support::{clock::TestClock, counting, records};
use tower_credentials::{
    backend::{CredentialBackend, cached::Cached},
    domain::{AccessKey, Credential, Quota, Status, Version},
};

use crate::watched::Watched;

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

/// A cache with the default settings, its backend and its clock.
fn world() -> (Cached<Watched>, Watched, TestClock) {
    let (backend, clock) = (Watched::default(), TestClock::default());
    let cached = Cached::builder(backend.clone()).clock(clock.clone()).build();
    (cached, backend, clock)
}

fn key(text: &str) -> AccessKey {
    AccessKey::from_stored(text)
}

/// A key pair of the user `alice` and the project `demo`.
fn pair(access_key: &str) -> Credential {
    let mut pair = records::pair_in("demo", "alice", access_key, "topsecret");
    pair.version = Version::from_stored(1);
    pair
}

/// The next state of a record, which is inactive.
fn disabled(credential: &Credential) -> Credential {
    let mut next = credential.clone().touched(UNIX_EPOCH);
    next.status = Status::Inactive;
    next
}

/// The next state of a record, with another access key.
fn renamed(credential: &Credential, access_key: &str) -> Credential {
    let mut next = credential.clone().touched(UNIX_EPOCH);
    next.access_key = Some(key(access_key));
    next
}

async fn insert(backend: &impl CredentialBackend, credential: &Credential) {
    backend.insert(&credential.clone().into(), Quota::Unlimited).await.unwrap();
}

async fn update(backend: &impl CredentialBackend, next: &Credential, expected: u64) -> bool {
    backend.update(&next.clone().into(), Version::from_stored(expected)).await.unwrap()
}

/// The version that is found by this access key.
async fn version(backend: &impl CredentialBackend, access_key: &str) -> Option<u64> {
    let found = backend.find_by_access_key(&key(access_key)).await.unwrap();
    found.map(|credential| credential.version.get())
}

/// The version that is found by the id of this pair.
async fn version_by_id(backend: &impl CredentialBackend, pair: &Credential) -> Option<u64> {
    let found = backend.get(&pair.id).await.unwrap();
    found.map(|credential| credential.version.get())
}

/// Lets other tasks run until the condition holds.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the condition was never met");
}
