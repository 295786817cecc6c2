//! Stores by URL.

#![allow(dead_code, reason = "each example uses a part of it")]

use std::{
    error::Error,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tower_credentials::{
    backend::{
        BulkLoad, CredentialBackend,
        cached::Cached,
        memory::MemoryBackend,
        sqlite::{OpenError, OpenErrorKind, SqliteBackend},
    },
    usage::UsageLog,
};

/// What a URL may be.
pub(crate) const URLS: &str = "memory: or sqlite:PATH";

/// Whatever keeps the keys, with what was looked up lately in memory.
pub(crate) type Keys = Cached<Arc<dyn CredentialBackend>>;

/// Opens the store that a URL names, for a server; without one, this SQLite file. What
/// another process writes there is felt within this time.
pub(crate) async fn open(
    url: Option<&str>,
    file: &Path,
    key_ttl: Duration,
) -> Result<Keys, Box<dyn Error>> {
    let default = || format!("sqlite:{}", file.display());
    let url = url.map_or_else(default, Into::into);
    let store = Store::open(&url, Expected::Any).await.map_err(|error| match error.trouble {
        Trouble::Url => format!("--backend takes {URLS}").into(),
        _ => Box::<dyn Error>::from(error),
    })?;
    Ok(Cached::builder(store.backend).ttl(key_ttl).build())
}

/// A store, with all that can be done with it.
pub(crate) struct Store {
    pub(crate) backend: Arc<dyn CredentialBackend>,
    pub(crate) bulk: Arc<dyn BulkLoad>,
    pub(crate) usage: Option<Arc<dyn UsageLog>>,
    engine: Engine,
}

/// Whether a store must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is made if it is not.
    Any,
    /// It must.
    Existing,
    /// It must not.
    New,
}

/// What is known of one kind of store alone.
enum Engine {
    Memory,
    Sqlite(PathBuf),
}

impl Store {
    /// Opens the store that a URL names, and brings it to the current schema.
    pub(crate) async fn open(url: &str, expected: Expected) -> Result<Self, Unopened> {
        // The only list of engines there is.
        match url.split_once(':') {
            Some(("memory", "")) => Self::memory(expected),
            Some(("sqlite", path)) if !path.is_empty() => Self::sqlite(path.into(), expected),
            _ => Err(Unopened::new(Trouble::Url, format!("{} is not {URLS}", redacted(url)))),
        }
    }

    fn memory(expected: Expected) -> Result<Self, Unopened> {
        if expected != Expected::Any {
            let what = "memory: is in one process, and ends with it";
            return Err(Unopened::new(Trouble::Url, what));
        }
        Ok(Self::of(MemoryBackend::default(), Engine::Memory))
    }

    fn sqlite(path: PathBuf, expected: Expected) -> Result<Self, Unopened> {
        let is_there = fs::exists(&path).map_err(|error| {
            let what = format!("cannot look for {}: {error}", path.display());
            Unopened::new(Trouble::Unavailable, what)
        })?;
        match expected {
            Expected::New if is_there => {
                let what = format!("{} is there already", path.display());
                return Err(Unopened::new(Trouble::AlreadyThere, what));
            }
            Expected::Existing if !is_there => {
                let what = format!("{} is not there", path.display());
                return Err(Unopened::new(Trouble::Unavailable, what));
            }
            _ => {}
        }
        Ok(Self::of(SqliteBackend::open(&path)?, Engine::Sqlite(path)))
    }

    fn of<B>(backend: B, engine: Engine) -> Self
    where
        B: CredentialBackend + BulkLoad + UsageLog,
    {
        let backend = Arc::new(backend);
        Self {
            backend: Arc::clone(&backend) as _,
            bulk: Arc::clone(&backend) as _,
            usage: Some(backend),
            engine,
        }
    }

    /// The name of its kind.
    pub(crate) fn engine(&self) -> &'static str {
        match self.engine {
            Engine::Memory => "memory",
            Engine::Sqlite(_) => "sqlite",
        }
    }

    /// How many bytes it takes on its disk, where that can be told.
    pub(crate) fn disk_bytes(&self) -> Option<u64> {
        match &self.engine {
            Engine::Memory => None,
            Engine::Sqlite(path) => {
                let mut log = path.clone().into_os_string();
                log.push("-wal");
                let log = fs::metadata(log).map_or(0, |log| log.len());
                Some(fs::metadata(path).ok()?.len() + log)
            }
        }
    }
}

/// A URL for people to see: without its password.
pub(crate) fn redacted(url: &str) -> String {
    const HIDDEN: &str = "***";
    let mut shown = url.to_owned();
    // Up to the last `@`, for a password that should have been encoded.
    if let Some(start) = shown.find("://").map(|at| at + 3)
        && let Some(end) = shown.rfind('@').filter(|end| *end > start)
        && let Some(colon) = shown[start..end].find(':')
    {
        shown.replace_range(start + colon + 1..end, HIDDEN);
    }
    if let Some(start) = shown.find("password=").map(|at| at + "password=".len()) {
        let end = shown[start..].find(['&', ' ']).map_or(shown.len(), |end| start + end);
        shown.replace_range(start..end, HIDDEN);
    }
    shown
}

/// Why a store could not be opened.
#[derive(Debug)]
pub(crate) struct Unopened {
    pub(crate) trouble: Trouble,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of [`Unopened`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is there, and must not be.
    AlreadyThere,
    /// It is not there, or cannot be reached.
    Unavailable,
    /// It is there and is no store that this release reads.
    Unreadable,
    /// The URL names no store.
    Url,
}

impl Unopened {
    fn new(trouble: Trouble, what: impl Into<String>) -> Self {
        Self { trouble, what: what.into(), source: None }
    }
}

impl From<OpenError> for Unopened {
    fn from(error: OpenError) -> Self {
        let trouble = match error.kind() {
            OpenErrorKind::Corrupt | OpenErrorKind::Foreign | OpenErrorKind::Newer => {
                Trouble::Unreadable
            }
            _ => Trouble::Unavailable,
        };
        let mut unopened = Self::new(trouble, error.to_string());
        if error.source().is_some() {
            unopened.source = Some(Box::new(error));
        }
        unopened
    }
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Unopened {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The error itself is told already.
        self.source.as_ref().and_then(|error| error.source())
    }
}
