//! The conformance suites on one shared cluster.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use tower_credentials::backend::{BackendError, ChangeFeed, Changes, etcd::EtcdBackend};

use crate::etcd;

/// Opens the store of the suite; `None` if etcd is not installed.
async fn handle() -> Option<EtcdBackend> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    let url = URL.get_or_init(|| etcd::place("suite")).as_ref()?;
    Some(EtcdBackend::open(url).await.unwrap())
}

macro_rules! cases {
    (($make:path) $($subject:ident { $($case:ident)+ })+) => {$($(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            if let Some(backend) = $make().await {
                tower_credentials::conformance::cases::$case(Arc::new(backend)).await;
            }
        }
    )+)+};
}

tower_credentials::__conformance_cases!({ cases }(handle));

mod bulk {
    use super::*;

    macro_rules! cases {
        (() $($case:ident)+) => {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let Some(backend) = handle().await {
                    let load = Arc::new(backend.clone());
                    tower_credentials::conformance::bulk::$case(Arc::new(backend), load).await;
                }
            }
        )+};
    }

    tower_credentials::__bulk_load_conformance_cases!({ cases }());
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

    macro_rules! cases {
        (() $($case:ident)+) => {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let (Some(backend), Some(other)) = (handle().await, handle().await) {
                    let (backend, feed) = (Arc::new(backend), Arc::new(Started(other)));
                    tower_credentials::conformance::feed::$case(backend, feed).await;
                }
            }
        )+};
    }

    tower_credentials::__feed_conformance_cases!({ cases }());
}
