//! Publishing the metrics of a cache.

use metrics::{counter, gauge};

use super::backend::Cached;
use super::stats::CacheStats;
use crate::meter::names;

impl<B> Cached<B> {
    /// Publishes the metrics of the cache to the recorder that is installed now: the counts of
    /// [`stats`](Self::stats), [`staleness`](Self::staleness) and [`feed_lag`](Self::feed_lag).
    ///
    /// Call it at an interval, or before each scrape. It costs what [`staleness`](Self::staleness)
    /// costs. Lookups cost no more than without it.
    ///
    /// While no feed works, `tower_credentials_cache_feed_connected` is 0 and
    /// `tower_credentials_cache_feed_lag_seconds` is NaN.
    ///
    /// The metrics have no label: publish one cache per process.
    #[expect(clippy::cast_precision_loss, reason = "a cache has fewer than 2^52 entries")]
    pub fn publish_metrics(&self) {
        // Destructured in full so that a new number cannot be forgotten here.
        let CacheStats {
            hits,
            absent_hits,
            misses,
            evictions,
            refreshes,
            failed_refreshes,
            changes,
            breaks,
            entries,
            absences,
        } = self.stats();
        counter!(names::CACHE_HITS).absolute(hits);
        counter!(names::CACHE_ABSENT_HITS).absolute(absent_hits);
        counter!(names::CACHE_MISSES).absolute(misses);
        counter!(names::CACHE_EVICTIONS).absolute(evictions);
        counter!(names::CACHE_REFRESHES).absolute(refreshes);
        counter!(names::CACHE_FAILED_REFRESHES).absolute(failed_refreshes);
        counter!(names::CACHE_FEED_CHANGES).absolute(changes);
        counter!(names::CACHE_FEED_BREAKS).absolute(breaks);
        gauge!(names::CACHE_ENTRIES).set(entries as f64);
        gauge!(names::CACHE_ABSENCES).set(absences as f64);
        gauge!(names::CACHE_STALENESS).set(self.staleness().as_secs_f64());
        let lag = self.feed_lag();
        gauge!(names::CACHE_FEED_CONNECTED).set(f64::from(u8::from(lag.is_some())));
        gauge!(names::CACHE_FEED_LAG).set(lag.map_or(f64::NAN, |lag| lag.as_secs_f64()));
    }
}
