//! Clients that create and revoke keys during a fault.

use std::{sync::Arc, time::Duration};

pub(crate) use test_support::load::Load;
use test_support::records;
use tower_credentials::{
    backend::{CredentialBackend, ListQuery, Order},
    domain::{Credential, Quota, UserId},
};

/// The quota of each user of a load.
pub(crate) const QUOTA: u32 = 10;

/// A new key pair of this user.
pub(crate) fn pair(user: &str) -> Arc<Credential> {
    records::new_pair_in("demo", user).into()
}

/// Starts clients. Two clients share a user with this quota.
pub(crate) fn start<B: CredentialBackend + Clone>(
    backend: &B,
    clients: usize,
    quota: Quota,
) -> Load {
    Load::start(std::slice::from_ref(backend), vec![quota; clients / 2])
}

/// Stops a load under [`QUOTA`], and asserts that the store has exactly what was acknowledged.
pub(crate) async fn audit(what: &str, backend: &impl CredentialBackend, load: Load) {
    let done = load.stop(what, backend).await;
    assert!(done.full > 0, "no quota was ever exceeded");
    assert!(done.silence < Duration::from_secs(20), "{:?}", done.silence);
}

/// How many of these records are missing or differ.
pub(crate) async fn missing(
    backend: &impl CredentialBackend,
    records: &[Arc<Credential>],
) -> usize {
    let mut missing = 0;
    for record in records {
        let found = backend.get(&record.id).await.unwrap();
        missing += usize::from(found.as_ref() != Some(record));
    }
    missing
}

/// How many records a user has.
pub(crate) async fn held(backend: &impl CredentialBackend, user: &str) -> usize {
    let mut query = ListQuery::new(Order::Key);
    query.user_id = Some(UserId::from_stored(user));
    backend.list(&query).await.unwrap().credentials.len()
}
