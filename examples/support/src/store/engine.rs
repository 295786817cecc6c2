//! The kinds of stores: the only list of them there is.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tower_credentials::{
    backend::{
        BackendError, OpenErrorKind, etcd::EtcdBackend, memory::MemoryBackend,
        postgres::PostgresBackend, sqlite::SqliteBackend,
    },
    domain::CredentialId,
    usage::UsageLog,
};

use super::{Expected, Keeps, Store, Trouble, Unopened, redacted};

/// What a URL may be.
pub const URLS: &str = "memory:, sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE or \
    etcd://HOST:PORT,HOST:PORT";

/// What is known of one kind of store alone.
pub enum Engine {
    Etcd(EtcdBackend),
    Memory,
    Postgres(PostgresBackend),
    Sqlite(SqliteBackend, PathBuf),
}

/// Whether a text begins as a URL of a store does.
pub(super) fn is_url(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    matches!(scheme, Some("etcd" | "etcds" | "memory" | "postgres" | "postgresql" | "sqlite"))
}

/// Opens the store that a URL names.
pub(super) async fn open(url: &str, expected: Expected) -> Result<Store, Unopened> {
    match url.split_once(':') {
        Some(("memory", "")) => memory(expected),
        Some(("sqlite", path)) if !path.is_empty() => sqlite(path.into(), expected),
        Some(("postgres" | "postgresql", _)) => postgres(url, expected).await,
        Some(("etcd" | "etcds", _)) => etcd(url, expected).await,
        _ => Err(Unopened::new(Trouble::Url, format!("{} is not {URLS}", redacted(url)))),
    }
}

fn memory(expected: Expected) -> Result<Store, Unopened> {
    if expected != Expected::Any {
        let what = "memory: is in one process, and ends with it";
        return Err(Unopened::new(Trouble::Url, what));
    }
    Ok(with_usage(MemoryBackend::default(), Engine::Memory))
}

fn sqlite(path: PathBuf, expected: Expected) -> Result<Store, Unopened> {
    let is_there = fs::exists(&path).map_err(|error| {
        let what = format!("cannot look for {}: {error}", path.display());
        Unopened::new(Trouble::Unavailable, what)
    })?;
    match expected {
        Expected::New if is_there => return Err(there_already(&path.display().to_string())),
        Expected::Existing if !is_there => {
            let what = format!("{} is not there", path.display());
            return Err(Unopened::new(Trouble::Unavailable, what));
        }
        _ => {}
    }
    let backend = SqliteBackend::open(&path)?;
    Ok(with_usage(backend.clone(), Engine::Sqlite(backend, path)))
}

async fn postgres(url: &str, expected: Expected) -> Result<Store, Unopened> {
    let builder = || PostgresBackend::builder(url);
    let backend = match expected {
        Expected::Any => builder().build().await,
        Expected::Existing => builder().existing().build().await,
        Expected::New => match builder().existing().build().await {
            Ok(_) => return Err(there_already(&redacted(url))),
            Err(error) if error.kind() == OpenErrorKind::NotFound => builder().build().await,
            Err(error) => Err(error),
        },
    };
    let backend = backend?;
    Ok(with_usage(backend.clone(), Engine::Postgres(backend)))
}

async fn etcd(url: &str, expected: Expected) -> Result<Store, Unopened> {
    let builder = || EtcdBackend::builder(url);
    let backend = match expected {
        Expected::Any => builder().build().await,
        Expected::Existing => builder().existing().build().await,
        Expected::New => match builder().existing().build().await {
            Ok(_) => return Err(there_already(&redacted(url))),
            Err(error) if error.kind() == OpenErrorKind::NotFound => builder().build().await,
            Err(error) => Err(error),
        },
    };
    let backend = backend?;
    let engine = Engine::Etcd(backend.clone());
    Ok(Store { keys: Arc::new(backend), usage: None, seal: None, engine })
}

fn with_usage<B: Keeps + UsageLog>(backend: B, engine: Engine) -> Store {
    let backend = Arc::new(backend);
    Store { keys: Arc::clone(&backend) as _, usage: Some(backend), seal: None, engine }
}

fn there_already(what: &str) -> Unopened {
    Unopened::new(Trouble::AlreadyThere, format!("{what} is a store already"))
}

impl Engine {
    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Etcd(_) => "etcd",
            Self::Memory => "memory",
            Self::Postgres(_) => "postgres",
            Self::Sqlite(..) => "sqlite",
        }
    }

    /// Deletes a record as the store has it, also one that cannot be read.
    pub async fn discard(&self, id: &CredentialId) -> Result<bool, BackendError> {
        match self {
            Self::Etcd(backend) => backend.discard(id).await,
            // What is in it was just made.
            Self::Memory => Ok(false),
            Self::Postgres(backend) => backend.discard(id).await,
            Self::Sqlite(backend, _) => backend.discard(id).await,
        }
    }

    /// How many bytes it takes on its disk, where that can be told.
    pub fn disk_bytes(&self) -> Option<u64> {
        let Self::Sqlite(_, path) = self else { return None };
        let size = |path: &Path| fs::metadata(path).map(|file| file.len());
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        Some(size(path).ok()? + size(Path::new(&log)).unwrap_or_default())
    }
}
