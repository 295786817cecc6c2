//! The settings of a cache.

use std::{fmt, sync::Arc, time::Duration};

use super::backend::Cached;
use super::memory::Settings;
use crate::clock::{Clock, SystemClock};

impl<B> Cached<B> {
    /// Wraps a backend, with the default settings.
    pub fn new(backend: B) -> Self {
        Self::builder(backend).build()
    }

    /// Starts to wrap a backend.
    pub fn builder(backend: B) -> CachedBuilder<B> {
        CachedBuilder::new(backend)
    }
}

/// Builds a [`Cached`].
///
/// Every setting replaces an earlier value. A time or capacity of zero is valid: then each
/// lookup asks the backend.
pub struct CachedBuilder<B> {
    backend: B,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

impl<B> CachedBuilder<B> {
    pub(super) fn new(backend: B) -> Self {
        let settings = Settings {
            ttl: Duration::from_secs(10),
            followed_ttl: Duration::from_mins(5),
            absence_ttl: Duration::from_secs(2),
            capacity: 100_000,
            absence_capacity: 10_000,
        };
        Self { backend, settings, clock: Arc::new(SystemClock) }
    }

    /// Sets how long a record is served from memory. Writes of others take effect within this
    /// time.
    ///
    /// Default: 10 seconds.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = ttl;
        self
    }

    /// Sets how long a record is served from memory while the cache [follows](Cached::follow)
    /// a change feed; never less than [`ttl`](Self::ttl).
    ///
    /// Writes that no feed reports, such as those by hand, take effect within this time.
    ///
    /// Default: 5 minutes.
    #[must_use]
    pub fn followed_ttl(mut self, ttl: Duration) -> Self {
        self.settings.followed_ttl = ttl;
        self
    }

    /// Sets how long the absence of an access key is served from memory; never longer than a
    /// record.
    ///
    /// Default: 2 seconds.
    #[must_use]
    pub fn absence_ttl(mut self, ttl: Duration) -> Self {
        self.settings.absence_ttl = ttl;
        self
    }

    /// Sets the maximum number of records in memory. A record with more than 4 KiB of text
    /// counts as several. At most as many ids are remembered with the access keys that they
    /// belong to.
    ///
    /// Besides, each thread that looks up keys, or group of threads if there are more than 64, copies
    /// up to 2,048 of the records, but not more than the capacity, and none with more than 4 KiB of
    /// text.
    ///
    /// Records are spread over shards, each with its share of the capacity. To keep all keys
    /// in memory, set a little more than their number.
    ///
    /// Default: 100,000.
    #[must_use]
    pub fn capacity(mut self, records: usize) -> Self {
        self.settings.capacity = records;
        self
    }

    /// Sets the maximum number of absent access keys in memory.
    ///
    /// Default: 10,000.
    #[must_use]
    pub fn absence_capacity(mut self, access_keys: usize) -> Self {
        self.settings.absence_capacity = access_keys;
        self
    }

    /// Sets the clock.
    ///
    /// Default: [`SystemClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Creates the cache.
    #[must_use]
    pub fn build(self) -> Cached<B> {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self { backend, mut settings, clock } = self;
        settings.absence_ttl = settings.absence_ttl.min(settings.ttl);
        Cached::with(backend, settings, clock)
    }
}

impl<B> fmt::Debug for CachedBuilder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
