//! The conformance suites for backends, change feeds, bulk loads and usage logs, with sealing.

/// The other suites, on two handles from `$make`.
macro_rules! pair_suites {
    ($make:ident -> $store:ty) => {
        mod feeds {
            tower_credentials::feed_conformance_tests!(super::twice);
        }

        mod loads {
            tower_credentials::bulk_load_conformance_tests!(super::twice);
        }

        mod logs {
            tower_credentials::usage_conformance_tests!(super::twice);
        }

        async fn twice() -> ($store, $store) {
            let backend = $make().await;
            (backend.clone(), backend)
        }
    };
}

mod over_memory {
    use tower_credentials::backend::{encrypted::Encrypted, memory::MemoryBackend};

    use crate::ring;

    async fn backend() -> Encrypted<MemoryBackend> {
        Encrypted::open(MemoryBackend::default(), ring(&["old", "new"])).await.unwrap()
    }

    tower_credentials::backend_conformance_tests!(backend);

    pair_suites!(backend -> Encrypted<MemoryBackend>);
}

/// All cases with one file.
mod over_sqlite {
    use test_support::suites::kept_sqlite;
    use tokio::sync::OnceCell;
    use tower_credentials::backend::{encrypted::Encrypted, sqlite::SqliteBackend};

    use crate::ring;

    async fn shared() -> Encrypted<SqliteBackend> {
        static SHARED: OnceCell<Encrypted<SqliteBackend>> = OnceCell::const_new();
        let open = || async {
            let backend = kept_sqlite(env!("CARGO_TARGET_TMPDIR"));
            Encrypted::open(backend, ring(&["old", "new"])).await.unwrap()
        };
        SHARED.get_or_init(open).await.clone()
    }

    tower_credentials::backend_conformance_tests!(shared);

    pair_suites!(shared -> Encrypted<SqliteBackend>);
}

/// A store that was adopted, and is not completely sealed yet.
mod adopted {
    use tower_credentials::backend::{encrypted::Encrypted, memory::MemoryBackend};

    use crate::{insert, pair, ring};

    async fn backend() -> Encrypted<MemoryBackend> {
        let store = MemoryBackend::default();
        insert(&store, &pair("somebody", "plain")).await;
        let backend = Encrypted::adopt(store, ring(&["one"])).await.unwrap();
        assert!(backend.accepts_plain());
        backend
    }

    tower_credentials::backend_conformance_tests!(backend);
}

/// The recommended order of wrappers.
mod behind_a_cache {
    use tower_credentials::backend::{cached::Cached, encrypted::Encrypted, memory::MemoryBackend};

    use crate::ring;

    async fn backend() -> Cached<Encrypted<MemoryBackend>> {
        Cached::new(Encrypted::open(MemoryBackend::default(), ring(&["one"])).await.unwrap())
    }

    tower_credentials::backend_conformance_tests!(backend);
}
