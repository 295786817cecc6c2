//! Backends by URL.

use std::{error::Error, path::Path, sync::Arc};

use tower_credentials::backend::{CredentialBackend, memory::MemoryBackend, sqlite::SqliteBackend};

/// Opens the backend that a URL names; without one, this SQLite file.
pub(crate) fn open(
    url: Option<&str>,
    file: &Path,
) -> Result<Arc<dyn CredentialBackend>, Box<dyn Error>> {
    let Some(url) = url else {
        return Ok(Arc::new(SqliteBackend::open(file)?));
    };
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(MemoryBackend::default())),
        Some(("sqlite", path)) if !path.is_empty() => Ok(Arc::new(SqliteBackend::open(path)?)),
        _ => Err("--backend takes memory: or sqlite:PATH".into()),
    }
}
