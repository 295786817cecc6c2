//! The keys of a server.

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use clap::Args;
use tower_credentials::{
    backend::{CredentialBackend, Store, cached::Cached, encrypted::KeyRing, resolve_url},
    secret_files::SecretFiles,
    usage::UsageLog,
};

use super::{figures, store::SecretFileOptions};

/// Whatever keeps the keys, with what was looked up lately in memory.
pub type Keys = Cached<Arc<dyn CredentialBackend>>;

/// How a server's command line names its store.
#[derive(Debug, Args)]
pub struct StoreOptions {
    /// Seal secrets at rest with the keys in this file, one `id = base64` a line, the newest one
    /// last; `env:NAME` takes them from the environment.
    ///
    /// `credentials key` makes a line, and `credentials reseal` seals a store that is not.
    #[arg(long, value_name = "FILE")]
    key_ring: Option<String>,
    /// Take records too that are not sealed, while `credentials reseal --adopt` is at work.
    #[arg(long, requires = "key_ring")]
    adopt: bool,
    /// For how many seconds what was looked up about a key counts, while the store does not tell
    /// what changed there.
    ///
    /// While it does, a change that another process makes is felt within a second. What is
    /// changed here is felt at once.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=3600))]
    key_ttl: u64,
    /// Every how many seconds to log what the memory of keys did, and how old an answer from it
    /// could be (`staleness_ms`).
    ///
    /// `feed_lag_ms` tells how long ago the store said that it told all changes; it is missing
    /// while the store tells none.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    figures_every: u64,
    #[command(flatten)]
    pub secret_files: SecretFileOptions,
}

/// Opens the store that a command line names; without a name, this SQLite file.
pub async fn open(
    url: Option<&str>,
    file: &Path,
    options: &StoreOptions,
) -> Result<(Keys, Option<Arc<dyn UsageLog>>), Box<dyn Error>> {
    let files = SecretFiles::from(options.secret_files);
    let url = match url {
        Some(url) => resolve_url(url, files)?,
        None => format!("sqlite:{}", file.display()),
    };
    let mut store = Store::builder(url);
    if let Some(name) = &options.key_ring {
        store = store.keys(KeyRing::resolve(name, files)?).accept_plain(options.adopt);
    }
    let store = store.build().await?;
    let backend: Arc<dyn CredentialBackend> = store.backend();
    let keys = Cached::builder(backend).ttl(Duration::from_secs(options.key_ttl)).build();
    keys.follow(store.backend());
    figures::log(keys.clone(), Duration::from_secs(options.figures_every));
    Ok((keys, store.usage_log()))
}
