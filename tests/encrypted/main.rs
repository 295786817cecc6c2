//! Tests `Encrypted`: what it seals, what it rejects, and how its keys change.

mod adopting;
mod allocations;
mod altered;
mod damaged;
mod fernet;
mod form;
mod hiding;
mod keys;
mod killed;
mod loading;
mod resealing;
mod stragglers;
mod suite;
mod verifying;

use std::sync::Arc;

use test_support::{child_process, counting, records};
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, Order,
        encrypted::{Encrypted, KeyRing, Resealed},
        memory::MemoryBackend,
    },
    domain::{Blob, Credential, CredentialId, Material, Quota},
};

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

/// The id of the record of the keys in use.
const REGISTER: &str = "!tower-sealed-keys";

/// A ring with keys of these ids; the same id always has the same key.
fn ring(ids: &[&str]) -> KeyRing {
    let bytes = |id: &str| {
        let mut bytes = [7; 32];
        bytes[..id.len()].copy_from_slice(id.as_bytes());
        bytes
    };
    let first = KeyRing::new(ids[0], &bytes(ids[0])).unwrap();
    ids[1..].iter().fold(first, |ring, id| ring.with_newest(*id, &bytes(id)).unwrap())
}

/// An empty store and a handle that seals into it.
async fn sealed(ids: &[&str]) -> (MemoryBackend, Encrypted<MemoryBackend>) {
    let store = MemoryBackend::default();
    let encrypted = open(&store, ids).await;
    (store, encrypted)
}

async fn open(store: &MemoryBackend, ids: &[&str]) -> Encrypted<MemoryBackend> {
    Encrypted::open(store.clone(), ring(ids)).await.unwrap()
}

/// A key pair in a project, whose secret is `the secret of {key}`.
fn pair(user: &str, key: &str) -> Credential {
    records::pair_in("a project", user, key, &format!("the secret of {key}"))
}

async fn insert(backend: &impl CredentialBackend, record: &Credential) {
    backend.insert(&Arc::new(record.clone()), Quota::Unlimited).await.unwrap();
}

async fn get(backend: &impl CredentialBackend, record: &Credential) -> Option<Arc<Credential>> {
    backend.get(&record.id).await.unwrap()
}

/// Changes a record in the store, without the sealing handle.
async fn tamper(store: &MemoryBackend, id: &CredentialId, change: impl FnOnce(&mut Credential)) {
    let record = store.get(id).await.unwrap().unwrap();
    let mut changed = (*record).clone();
    change(&mut changed);
    assert!(store.update(&Arc::new(changed), record.version).await.unwrap());
}

/// The text that the store has instead of a record's secret.
async fn text(store: &impl CredentialBackend, record: &Credential) -> String {
    let found = get(store, record).await.unwrap();
    let Material::Blob(blob) = &found.material else { panic!("not sealed") };
    blob.expose().to_owned()
}

fn as_text(credential: &mut Credential, text: impl Into<String>) {
    credential.material = Material::Blob(Blob::new(text));
}

/// The message of a `Corrupt` error.
fn corruption<T: std::fmt::Debug>(result: Result<T, BackendError>) -> String {
    match result.unwrap_err() {
        BackendError::Corrupt(source) => source.to_string(),
        other => panic!("expected Corrupt, got {other:?}"),
    }
}

/// All ids of a list, page by page.
async fn ids(backend: &impl CredentialBackend, mut query: ListQuery) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = backend.list(&query).await.unwrap();
        ids.extend(page.credentials.iter().map(|record| record.id.as_str().to_owned()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return ids,
        }
    }
}

fn by_id() -> ListQuery {
    ListQuery::new(Order::Key)
}

async fn reseal(encrypted: &Encrypted<impl CredentialBackend>) -> u64 {
    match encrypted.reseal(|_| ()).await.unwrap() {
        Resealed::Done(progress) => progress.resealed_in_all,
        other => panic!("not done: {other:?}"),
    }
}
