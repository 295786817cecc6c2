//! The conformance suite over `SqliteBackend`, with one shared file for all cases.
//!
//! The suite over `MemoryBackend` is in the module of that backend.

use std::sync::OnceLock;

use test_support::suites::kept_sqlite;
use tower_credentials::backend::sqlite::SqliteBackend;

async fn shared_file() -> SqliteBackend {
    static SHARED: OnceLock<SqliteBackend> = OnceLock::new();
    SHARED.get_or_init(|| kept_sqlite(env!("CARGO_TARGET_TMPDIR"))).clone()
}

tower_credentials::backend_conformance_tests!(shared_file);

mod feed {
    use super::*;

    async fn shared_file_and_feed() -> (SqliteBackend, SqliteBackend) {
        let backend = shared_file().await;
        (backend.clone(), backend)
    }

    tower_credentials::feed_conformance_tests!(shared_file_and_feed);
}

/// Two independent handles to one file, as in two processes.
mod feed_of_another_process {
    use super::*;

    async fn backend_and_feed() -> (SqliteBackend, SqliteBackend) {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        let path = folder.join("credentials.db");
        (SqliteBackend::open(&path).unwrap(), SqliteBackend::open(&path).unwrap())
    }

    tower_credentials::feed_conformance_tests!(backend_and_feed);
}
