//! Settings of a cache.

use std::{fmt, sync::Arc, time::Duration};

use super::Cached;
use super::memory::Settings;
use crate::clock::{Clock, SystemClock};

impl<B> Cached<B> {
    /// A cache over this backend, with the defaults.
    pub fn new(backend: B) -> Self {
        Self::builder(backend).build()
    }

    /// A cache over this backend, with settings.
    pub fn builder(backend: B) -> CachedBuilder<B> {
        let settings = Settings {
            ttl: Duration::from_secs(10),
            followed_ttl: Duration::from_mins(5),
            absence_ttl: Duration::from_secs(2),
            capacity: 100_000,
            absence_capacity: 10_000,
        };
        CachedBuilder { backend, settings, clock: Arc::new(SystemClock) }
    }
}

/// Builds a [`Cached`].
///
/// A zero is no mistake: what may be held for no time, or in no number, is not
/// remembered, and each lookup asks the backend.
pub struct CachedBuilder<B> {
    backend: B,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

impl<B> CachedBuilder<B> {
    /// For how long a record is served from memory: the bound within which a write
    /// that was made elsewhere takes effect.
    ///
    /// Default: 10 seconds.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = ttl;
        self
    }

    /// For how long a record is served from memory while a feed of changes is
    /// [followed](Cached::follow) that tells when it was changed; never shorter than
    /// [`ttl`](Self::ttl).
    ///
    /// It bounds what a write does that no feed tells of, such as one by hand.
    ///
    /// Default: 5 minutes.
    #[must_use]
    pub fn followed_ttl(mut self, ttl: Duration) -> Self {
        self.settings.followed_ttl = ttl;
        self
    }

    /// For how long "there is none" is served from memory; never longer than a record.
    ///
    /// Default: 2 seconds.
    #[must_use]
    pub fn absence_ttl(mut self, ttl: Duration) -> Self {
        self.settings.absence_ttl = ttl;
        self
    }

    /// How many records are remembered at most. One that holds more than 4 KiB of
    /// text counts as several.
    ///
    /// Records are spread over several parts of the memory, each with its share of
    /// the room: a little more than there are keys leaves room for all of them.
    ///
    /// Default: 100,000.
    #[must_use]
    pub fn capacity(mut self, records: usize) -> Self {
        self.settings.capacity = records;
        self
    }

    /// How many access keys that do not exist are remembered at most.
    ///
    /// Default: 10,000.
    #[must_use]
    pub fn absence_capacity(mut self, access_keys: usize) -> Self {
        self.settings.absence_capacity = access_keys;
        self
    }

    /// Where the time comes from.
    ///
    /// Default: [`SystemClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Finishes the cache.
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
