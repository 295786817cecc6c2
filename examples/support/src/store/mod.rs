//! Stores by URL.

#![allow(dead_code, unused_imports, reason = "each example uses a part of it")]

mod command_line;
mod engine;
mod error;
mod redacted;
mod secret_files;

use std::{path::Path, sync::Arc};

use tower_credentials::{
    backend::{
        BackendError, BulkLoad, ChangeFeed, CredentialBackend,
        encrypted::{Encrypted, KeyRing},
    },
    domain::CredentialId,
    usage::UsageLog,
};

pub use self::{
    command_line::{parse, url},
    engine::{Engine, URLS},
    error::{Trouble, Unopened},
    redacted::redacted,
    secret_files::SecretFiles,
};

/// The record that a sealed store has.
const SEALED: &str = "!tower-sealed-keys";

/// All that every kind of store can do.
pub trait Keeps: CredentialBackend + BulkLoad + ChangeFeed {}

impl<T: CredentialBackend + BulkLoad + ChangeFeed> Keeps for T {}

/// A store, with all that can be done with it.
pub struct Store {
    /// Where records are read and written: through the seal, if there is one.
    pub keys: Arc<dyn Keeps>,
    /// Where uses are noted, if this kind of store can.
    pub usage: Option<Arc<dyn UsageLog>>,
    /// The same as `keys`, as what seals.
    pub seal: Option<Encrypted<Arc<dyn Keeps>>>,
    pub engine: Engine,
}

/// Whether a store must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is made if it is not.
    Any,
    /// It must.
    Existing,
    /// It must not.
    New,
}

/// Whether records may be there that are not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// They may: they are about to be sealed.
    Adopted,
    Refused,
}

impl Store {
    /// Opens the store that a URL names, and brings it to the current schema.
    pub async fn open(url: &str, expected: Expected) -> Result<Self, Unopened> {
        engine::open(url, expected).await
    }

    /// The same as `keys`, for those who only read and write.
    pub fn backend(&self) -> Arc<dyn CredentialBackend> {
        Arc::clone(&self.keys) as _
    }

    /// The same store, whose secrets are not sealed. What is sealed is refused: without the
    /// keys it looks like records that nobody can use.
    pub async fn plain(self) -> Result<Self, Unopened> {
        let sealed = self.keys.get(&CredentialId::from_stored(SEALED)).await.map_err(|error| {
            let trouble = match error {
                BackendError::Unavailable(_) => Trouble::Unavailable,
                _ => Trouble::Unreadable,
            };
            Unopened::caused(trouble, error)
        })?;
        match sealed {
            None => Ok(self),
            Some(_) => {
                Err(Unopened::new(Trouble::Keys, "the store is sealed: it takes --key-ring"))
            }
        }
    }

    /// The same store, its secrets sealed with these keys.
    pub async fn sealed(self, keys: KeyRing, plain: Plain) -> Result<Self, Unopened> {
        let seal = match plain {
            Plain::Adopted => Encrypted::adopt(self.keys, keys).await?,
            Plain::Refused => Encrypted::open(self.keys, keys).await?,
        };
        Ok(Self { keys: Arc::new(seal.clone()), seal: Some(seal), ..self })
    }
}

/// The keys that a command line names: a file, or `env:` and the name of a variable.
pub fn key_ring(name: &str, files: SecretFiles) -> Result<KeyRing, Unopened> {
    if let Some(variable) = name.strip_prefix("env:") {
        let ring = KeyRing::from_env(variable);
        return ring.map_err(|error| Unopened::caused(Trouble::Keys, error));
    }
    let unopened = |what| Unopened::new(Trouble::Keys, what);
    let text = files.read(Path::new(name)).map_err(unopened)?;
    KeyRing::parse(&text).map_err(|error| unopened(format!("{name}: {error}")))
}
