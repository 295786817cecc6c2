use std::{fmt, sync::Arc};

use super::bulk::BulkLoad;
use super::credential_backend::CredentialBackend;
use super::feed::ChangeFeed;
use super::maintenance::{Maintenance, is_sealed};
use super::open_error::{OpenError, OpenErrorKind, OpenMode};
use super::url::Engine;
use crate::log::redact_url;
use crate::usage::UsageLog;

#[cfg(feature = "encryption")]
use super::encrypted::{Encrypted, KeyProvider};

/// Opens the store that a URL names, and creates it if it does not exist.
///
/// The same as `Store::builder(url).build()`; see [`Store`].
///
/// # Errors
///
/// Those of [`StoreBuilder::build`].
pub async fn open(url: impl Into<String>) -> Result<Store, OpenError> {
    Store::builder(url).build().await
}

/// What every store of this crate can do, in one trait.
pub trait StoreBackend: CredentialBackend + BulkLoad + ChangeFeed {}

impl<T: CredentialBackend + BulkLoad + ChangeFeed> StoreBackend for T {}

/// A store that was opened by its URL.
///
/// | URL | store | cargo feature |
/// |---|---|---|
/// | `memory:` | [`MemoryBackend`](super::memory), gone when its process ends | `memory` |
/// | `sqlite:PATH` | [`SqliteBackend`](super::sqlite) | `sqlite` |
/// | `postgres://USER:PASSWORD@HOST/DATABASE` | [`PostgresBackend`](super::postgres) | `postgres` |
/// | `etcd://HOST:PORT,HOST:PORT/PREFIX`, `etcds://` | [`EtcdBackend`](super::etcd) | `etcd` |
///
/// A clone is another handle to the same store.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "memory")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_credentials::backend::OpenError> {
/// let store = tower_credentials::backend::open("memory:").await?;
/// assert_eq!(store.engine(), "memory");
/// let layer = tower_credentials::CredentialLayer::new(
///     tower_credentials::auth::StaticTokens::new(),
///     store.backend(),
/// );
/// # let _ = layer;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "memory"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
    backend: Arc<dyn StoreBackend>,
    usage: Option<Arc<dyn UsageLog>>,
    maintenance: Arc<dyn Maintenance>,
    #[cfg(feature = "encryption")]
    encrypted: Option<Encrypted<Arc<dyn StoreBackend>>>,
}

impl Store {
    /// Starts to open the store that a URL names.
    pub fn builder(url: impl Into<String>) -> StoreBuilder {
        StoreBuilder {
            url: url.into(),
            mode: OpenMode::default(),
            accept_sealed: false,
            #[cfg(feature = "encryption")]
            keys: None,
            #[cfg(feature = "encryption")]
            accept_plain: false,
        }
    }

    /// Returns the records: through the encryption if the store is sealed.
    #[must_use]
    pub fn backend(&self) -> Arc<dyn StoreBackend> {
        Arc::clone(&self.backend)
    }

    /// Returns the encryption, if the store was opened with keys. Its records are those of
    /// [`backend`](Self::backend).
    #[cfg(feature = "encryption")]
    #[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
    #[must_use]
    pub fn encrypted(&self) -> Option<&Encrypted<Arc<dyn StoreBackend>>> {
        self.encrypted.as_ref()
    }

    /// Returns the kind of store: `etcd`, `memory`, `postgres` or `sqlite`.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.engine.name()
    }

    /// Returns what operators' tools need, without the encryption.
    #[must_use]
    pub fn maintenance(&self) -> &dyn Maintenance {
        &*self.maintenance
    }

    /// Returns the log of when keys were last used, if this kind of store has one.
    #[must_use]
    pub fn usage_log(&self) -> Option<Arc<dyn UsageLog>> {
        self.usage.clone()
    }
}

/// Opens a [`Store`]. Every setting replaces an earlier value.
#[must_use = "a builder opens nothing until `build` is called"]
pub struct StoreBuilder {
    url: String,
    mode: OpenMode,
    accept_sealed: bool,
    #[cfg(feature = "encryption")]
    keys: Option<Arc<dyn KeyProvider>>,
    #[cfg(feature = "encryption")]
    accept_plain: bool,
}

impl StoreBuilder {
    /// Sets whether the store must exist.
    ///
    /// Default: [`OpenMode::Create`].
    pub fn mode(mut self, mode: OpenMode) -> Self {
        self.mode = mode;
        self
    }

    /// Seals the secrets in the store with these keys; see [`encrypted`](super::encrypted).
    ///
    /// Default: none. A store that is sealed is then not opened.
    #[cfg(feature = "encryption")]
    #[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
    pub fn keys(mut self, keys: impl KeyProvider) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// With [`keys`](Self::keys): accepts a store that has records which are not sealed, as
    /// [`Encrypted::adopt`] does.
    ///
    /// Default: `false`.
    #[cfg(feature = "encryption")]
    #[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
    pub fn accept_plain(mut self, accept: bool) -> Self {
        self.accept_plain = accept;
        self
    }

    /// Without [`keys`](Self::keys): opens a sealed store too, so that its records can be
    /// deleted. Their secrets cannot be used.
    ///
    /// Default: `false`.
    pub fn accept_sealed(mut self, accept: bool) -> Self {
        self.accept_sealed = accept;
        self
    }

    /// Opens the store and brings it to the current schema.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose [`kind`](OpenError::kind) says why.
    pub async fn build(self) -> Result<Store, OpenError> {
        let engine = Engine::of_url(&self.url)?;
        // The keys first: without them no store is created.
        #[cfg(feature = "encryption")]
        let keys = match &self.keys {
            Some(keys) => Some(keys.key_ring().await?),
            None => None,
        };
        let store: Result<Store, OpenError> = match engine {
            #[cfg(feature = "etcd")]
            Engine::Etcd => open_etcd(self.url, self.mode).await,
            #[cfg(feature = "memory")]
            Engine::Memory => open_memory(self.mode),
            #[cfg(feature = "postgres")]
            Engine::Postgres => open_postgres(self.url, self.mode).await,
            #[cfg(feature = "sqlite")]
            Engine::Sqlite => open_sqlite(&self.url["sqlite:".len()..], self.mode),
            #[cfg(not(all(
                feature = "etcd",
                feature = "memory",
                feature = "postgres",
                feature = "sqlite"
            )))]
            engine => Err(engine.unsupported()),
        };
        let store = store?;
        #[cfg(feature = "encryption")]
        if let Some(keys) = keys {
            let encrypted = if self.accept_plain {
                Encrypted::adopt(store.backend, keys).await?
            } else {
                Encrypted::open(store.backend, keys).await?
            };
            let backend = Arc::new(encrypted.clone());
            return Ok(Store { backend, encrypted: Some(encrypted), ..store });
        }
        if !self.accept_sealed && is_sealed(&store.backend).await.map_err(OpenError::backend)? {
            let message = "the store is sealed and needs its key ring";
            return Err(OpenError::new(OpenErrorKind::Sealed, message));
        }
        Ok(store)
    }
}

impl fmt::Debug for StoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreBuilder")
            .field("url", &redact_url(&self.url))
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

#[cfg(any(feature = "etcd", feature = "memory", feature = "postgres", feature = "sqlite"))]
impl Store {
    fn new<B: StoreBackend + Maintenance>(
        engine: Engine,
        backend: B,
        usage: Option<Arc<dyn UsageLog>>,
    ) -> Self {
        let backend = Arc::new(backend);
        Self {
            engine,
            maintenance: Arc::clone(&backend) as _,
            backend,
            usage,
            #[cfg(feature = "encryption")]
            encrypted: None,
        }
    }
}

#[cfg(feature = "memory")]
fn open_memory(mode: OpenMode) -> Result<Store, OpenError> {
    if mode != OpenMode::Create {
        let message = "memory: stores are always new; the mode must be `Create`";
        return Err(OpenError::invalid_setting(message));
    }
    let backend = super::memory::MemoryBackend::default();
    Ok(Store::new(Engine::Memory, backend.clone(), Some(Arc::new(backend))))
}

#[cfg(feature = "sqlite")]
fn open_sqlite(path: &str, mode: OpenMode) -> Result<Store, OpenError> {
    let backend = super::sqlite::SqliteBackend::builder(path).mode(mode).build()?;
    Ok(Store::new(Engine::Sqlite, backend.clone(), Some(Arc::new(backend))))
}

#[cfg(feature = "postgres")]
async fn open_postgres(url: String, mode: OpenMode) -> Result<Store, OpenError> {
    use super::postgres::PostgresBackend;

    let backend = PostgresBackend::builder(url).mode(mode).build().await?;
    Ok(Store::new(Engine::Postgres, backend.clone(), Some(Arc::new(backend))))
}

#[cfg(feature = "etcd")]
async fn open_etcd(url: String, mode: OpenMode) -> Result<Store, OpenError> {
    use super::etcd::EtcdBackend;

    let backend = EtcdBackend::builder(url).mode(mode).build().await?;
    Ok(Store::new(Engine::Etcd, backend, None))
}
