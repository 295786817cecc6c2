//! The conformance suite over every store and every wrapper: sealed, cached with the store's change
//! feed, both, and measured.

mod stores;

use test_support::{etcd, postgres, waiting::Waiting};
use tower_credentials::backend::{
    CredentialBackend, Measured,
    cached::Cached,
    contract::ChangeFeed,
    encrypted::{Encrypted, KeyRing},
};

async fn sealed<B: CredentialBackend>(backend: B) -> Encrypted<B> {
    // The same keys for all handles of one store.
    let ring = KeyRing::new("old", &[1; 32]).unwrap().with_newest("new", &[2; 32]).unwrap();
    Encrypted::open(backend, ring).await.unwrap()
}

async fn followed<B: CredentialBackend + ChangeFeed + Clone>(backend: B) -> Cached<B> {
    let cached = Cached::new(backend.clone());
    cached.follow(backend);
    for () in Waiting::start() {
        if cached.feed_lag().is_some() {
            return cached;
        }
        tokio::time::sleep(Waiting::STEP).await;
    }
    panic!("the store's change feed reports nothing");
}

async fn sealed_and_followed<B>(backend: B) -> Cached<Encrypted<B>>
where
    B: CredentialBackend + ChangeFeed,
{
    followed(sealed(backend).await).await
}

#[allow(clippy::unused_async, reason = "async like the other wrappers")]
async fn measured<B>(backend: B) -> Measured<B> {
    Measured::new(backend, "memory")
}

macro_rules! suites {
    ($($name:ident: $store:path, $wrap:path;)+) => {$(
        mod $name {
            use super::*;

            async fn backend() -> Option<impl CredentialBackend> {
                Some($wrap($store().await?).await)
            }

            tower_credentials::__conformance_cases!({ test_support::live_suite }(backend));
        }
    )+};
}

suites! {
    etcd_followed: stores::etcd, followed;
    etcd_sealed: stores::etcd_of_sealed, sealed;
    etcd_sealed_and_followed: stores::etcd_of_sealed, sealed_and_followed;
    memory_followed: stores::memory, followed;
    memory_measured: stores::memory, measured;
    memory_sealed: stores::memory, sealed;
    memory_sealed_and_followed: stores::memory, sealed_and_followed;
    postgres_followed: stores::postgres, followed;
    postgres_sealed: stores::postgres_of_sealed, sealed;
    postgres_sealed_and_followed: stores::postgres_of_sealed, sealed_and_followed;
    sqlite_followed: stores::sqlite, followed;
    sqlite_sealed: stores::sqlite_of_sealed, sealed;
    sqlite_sealed_and_followed: stores::sqlite_of_sealed, sealed_and_followed;
}
