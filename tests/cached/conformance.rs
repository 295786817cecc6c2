//! The conformance suite for backends, through a cache.

mod over_memory {
    use tower_credentials::backend::{cached::Cached, memory::MemoryBackend};

    async fn backend() -> Cached<MemoryBackend> {
        Cached::new(MemoryBackend::default())
    }

    tower_credentials::backend_conformance_tests!(backend);
}

/// All cases with one file and one cache.
mod over_sqlite {
    use std::sync::OnceLock;

    use test_support::suites::kept_sqlite;
    use tower_credentials::backend::{cached::Cached, sqlite::SqliteBackend};

    async fn shared() -> Cached<SqliteBackend> {
        static SHARED: OnceLock<Cached<SqliteBackend>> = OnceLock::new();
        let open = || Cached::new(kept_sqlite(env!("CARGO_TARGET_TMPDIR")));
        SHARED.get_or_init(open).clone()
    }

    tower_credentials::backend_conformance_tests!(shared);
}

mod over_any {
    use std::sync::Arc;

    use tower_credentials::backend::{CredentialBackend, cached::Cached, memory::MemoryBackend};

    async fn backend() -> Cached<Arc<dyn CredentialBackend>> {
        Cached::new(Arc::new(MemoryBackend::default()))
    }

    tower_credentials::backend_conformance_tests!(backend);
}
