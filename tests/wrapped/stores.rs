//! Two shared stores of each kind, for plain and for sealed records. Each test opens its own handle.
//! `None` if the server is not installed.

use std::{path::PathBuf, sync::OnceLock};

use tokio::sync::OnceCell;
use tower_credentials::backend::{
    etcd::EtcdBackend, memory::MemoryBackend, postgres::PostgresBackend, sqlite::SqliteBackend,
};

pub(crate) async fn etcd() -> Option<EtcdBackend> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    etcd_of(&URL, "plain").await
}

pub(crate) async fn etcd_of_sealed() -> Option<EtcdBackend> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    etcd_of(&URL, "sealed").await
}

async fn etcd_of(url: &OnceLock<Option<String>>, name: &str) -> Option<EtcdBackend> {
    let url = url.get_or_init(|| crate::etcd::place(name)).as_ref()?;
    Some(EtcdBackend::open(url).await.unwrap())
}

#[allow(clippy::unused_async, reason = "async like the other stores")]
pub(crate) async fn memory() -> Option<MemoryBackend> {
    Some(MemoryBackend::default())
}

pub(crate) async fn postgres() -> Option<PostgresBackend> {
    static URL: OnceCell<Option<String>> = OnceCell::const_new();
    postgres_of(&URL).await
}

pub(crate) async fn postgres_of_sealed() -> Option<PostgresBackend> {
    static URL: OnceCell<Option<String>> = OnceCell::const_new();
    postgres_of(&URL).await
}

async fn postgres_of(url: &'static OnceCell<Option<String>>) -> Option<PostgresBackend> {
    let url = url.get_or_init(crate::postgres::database).await.as_ref()?;
    Some(PostgresBackend::open(url).await.unwrap())
}

pub(crate) async fn sqlite() -> Option<SqliteBackend> {
    static PATH: OnceCell<PathBuf> = OnceCell::const_new();
    sqlite_of(&PATH).await
}

pub(crate) async fn sqlite_of_sealed() -> Option<SqliteBackend> {
    static PATH: OnceCell<PathBuf> = OnceCell::const_new();
    sqlite_of(&PATH).await
}

async fn sqlite_of(path: &'static OnceCell<PathBuf>) -> Option<SqliteBackend> {
    let make = || async {
        // Below `target`, because the values of statics are never dropped.
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep().join("credentials.db")
    };
    Some(SqliteBackend::open(path.get_or_init(make).await).unwrap())
}
