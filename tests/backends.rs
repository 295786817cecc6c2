//! The conformance suite over `SqliteBackend`, with one shared file for all cases.
//!
//! The suite over `MemoryBackend` is in the module of that backend.

use std::sync::OnceLock;

use tower_credentials::backend::sqlite::SqliteBackend;

async fn shared_file() -> SqliteBackend {
    static SHARED: OnceLock<SqliteBackend> = OnceLock::new();
    let open = || {
        // In `target`, because a folder in a static is never removed.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        SqliteBackend::open(folder.join("credentials.db")).unwrap()
    };
    SHARED.get_or_init(open).clone()
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
