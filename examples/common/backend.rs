//! Backends by URL.

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use tower_credentials::backend::{
    CredentialBackend, cached::Cached, memory::MemoryBackend, sqlite::SqliteBackend,
};

/// Whatever keeps the keys, with what was looked up lately in memory.
pub(crate) type Keys = Cached<Arc<dyn CredentialBackend>>;

/// Opens the backend that a URL names; without one, this SQLite file. What another
/// process writes there is felt within this time.
pub(crate) fn open(
    url: Option<&str>,
    file: &Path,
    key_ttl: Duration,
) -> Result<Keys, Box<dyn Error>> {
    let backend: Arc<dyn CredentialBackend> = match url.map(|url| url.split_once(':')) {
        None => Arc::new(SqliteBackend::open(file)?),
        Some(Some(("memory", ""))) => Arc::new(MemoryBackend::default()),
        Some(Some(("sqlite", path))) if !path.is_empty() => Arc::new(SqliteBackend::open(path)?),
        Some(_) => return Err("--backend takes memory: or sqlite:PATH".into()),
    };
    Ok(Cached::builder(backend).ttl(key_ttl).build())
}
