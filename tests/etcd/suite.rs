//! The conformance suites on one shared cluster.

use std::sync::OnceLock;

use async_trait::async_trait;
use tower_credentials::backend::{
    BackendError,
    contract::{ChangeFeed, Changes},
    etcd::EtcdBackend,
};

use crate::etcd;

/// Opens the store of the suite; `None` if etcd is not installed.
async fn handle() -> Option<EtcdBackend> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    let url = URL.get_or_init(|| etcd::place("suite")).as_ref()?;
    Some(EtcdBackend::open(url).await.unwrap())
}

tower_credentials::__conformance_cases!({ test_support::live_suite }(handle));

mod bulk {
    use super::*;

    async fn twice() -> Option<(EtcdBackend, EtcdBackend)> {
        let backend = handle().await?;
        Some((backend.clone(), backend))
    }

    tower_credentials::__bulk_load_conformance_cases!({ test_support::live_suite }(bulk, twice));
}

/// The feed of one handle, with writes through another, as in another process.
mod feed {
    use super::*;

    /// A feed without the initial notice that anything may have changed, which would pass for
    /// the change that a case waits for.
    #[derive(Debug)]
    struct Started(EtcdBackend);

    #[async_trait]
    impl ChangeFeed for Started {
        async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
            let mut changes = self.0.subscribe().await?;
            while !changes.next().await?.is_complete {}
            Ok(changes)
        }
    }

    async fn backend_and_feed() -> Option<(EtcdBackend, Started)> {
        Some((handle().await?, Started(handle().await?)))
    }

    tower_credentials::__feed_conformance_cases!({ test_support::live_suite }(
        feed,
        backend_and_feed
    ));
}
