//! What the cache of a server's keys does, in figures.

use std::time::Duration;

use tokio::time::sleep;

use super::backend::Keys;

/// Logs the figures of a cache so often, until the process ends.
pub fn log(keys: Keys, every: Duration) {
    tokio::spawn(async move {
        loop {
            sleep(every).await;
            let stats = keys.stats();
            tracing::info!(
                records = stats.entries,
                absences = stats.absences,
                hits = stats.hits,
                absent_hits = stats.absent_hits,
                misses = stats.misses,
                refreshes = stats.refreshes,
                failed_refreshes = stats.failed_refreshes,
                changes = stats.changes,
                feed_breaks = stats.breaks,
                feed_lag_ms = keys.feed_lag().map(millis),
                staleness_ms = millis(keys.staleness()),
                max_staleness_ms = millis(keys.max_staleness()),
                "keys in memory"
            );
        }
    });
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
