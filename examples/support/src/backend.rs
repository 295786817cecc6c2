//! The store of a server's keys, and its cache.

use std::{error::Error, future::ready, path::Path, sync::Arc, time::Duration};

use clap::Args;
use tokio::time::sleep;
#[cfg(feature = "metrics")]
use tower_credentials::backend::Measured;
use tower_credentials::{
    backend::{CredentialBackend, Store, cached::Cached, encrypted::KeyRing, resolve_url},
    secret_files::SecretFiles,
    usage::UsageLog,
};

use crate::{
    SecretFileOptions,
    health::{FeedWatch, Health, check_store},
};

/// A store of keys behind a cache.
pub type Keys = Cached<Arc<dyn CredentialBackend>>;

/// The options of a server for its store.
#[derive(Debug, Args)]
pub struct StoreOptions {
    /// Seal secrets at rest with the keys in this file, one `id = base64` per line, the newest one
    /// last. `env:NAME` takes them from an environment variable.
    ///
    /// `credentials ring` adds a line. `credentials reseal` seals an existing store.
    #[arg(long, value_name = "FILE")]
    key_ring: Option<String>,
    /// Also accept records that are not sealed, while `credentials reseal --adopt` runs.
    #[arg(long, requires = "key_ring")]
    adopt: bool,
    /// Maximum age of a cached key in seconds, while no change feed is connected.
    ///
    /// With a change feed, a change by another process takes effect within a second. A change by
    /// this process takes effect at once.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=3600))]
    key_ttl: u64,
    /// Interval in seconds at which to log the metrics of the key cache.
    ///
    /// `staleness_ms` is the maximum age of a cached key now. `feed_lag_ms` is the time since the
    /// change feed last confirmed that it is complete; it is missing while no feed is connected.
    #[arg(long, alias = "figures-every", value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    metrics_every: u64,
    #[command(flatten)]
    pub secret_files: SecretFileOptions,
}

/// Opens the store at a URL, or the SQLite file without a URL. Adds the checks of the store and of
/// its change feed.
pub async fn open(
    url: Option<&str>,
    file: &Path,
    options: &StoreOptions,
    health: &Health,
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
    let backend = measured(&store);
    let checked = Arc::clone(&backend);
    health.add("store", move || check_store(Arc::clone(&checked)));
    let keys = Cached::builder(backend).ttl(Duration::from_secs(options.key_ttl)).build();
    keys.follow(store.backend());
    let feed = FeedWatch::start(keys.clone());
    health.add("feed", move || ready(feed.status()));
    tokio::spawn(log_metrics(keys.clone(), Duration::from_secs(options.metrics_every)));
    Ok((keys, store.usage_log()))
}

/// The store, whose calls are measured if the server has metrics.
fn measured(store: &Store) -> Arc<dyn CredentialBackend> {
    #[cfg(feature = "metrics")]
    let backend = Arc::new(Measured::new(store.backend(), store.engine()));
    #[cfg(not(feature = "metrics"))]
    let backend = store.backend();
    backend
}

/// Logs the metrics of the cache at an interval.
async fn log_metrics(keys: Keys, interval: Duration) {
    loop {
        sleep(interval).await;
        let stats = keys.stats();
        tracing::info!(
            records = stats.entries,
            absences = stats.absences,
            hits = stats.hits,
            absent_hits = stats.absent_hits,
            misses = stats.misses,
            evictions = stats.evictions,
            refreshes = stats.refreshes,
            failed_refreshes = stats.failed_refreshes,
            changes = stats.changes,
            feed_breaks = stats.breaks,
            feed_lag_ms = keys.feed_lag().map(millis),
            staleness_ms = millis(keys.staleness()),
            max_staleness_ms = millis(keys.max_staleness()),
            "key cache"
        );
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
