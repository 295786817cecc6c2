//! The names of the metrics.

macro_rules! names {
    ($($constant:ident = $name:literal;)*) => {
        $(pub(crate) const $constant: &str = concat!("tower_credentials_", $name);)*
    };
}

names! {
    BUILD_INFO = "build_info";
    REQUESTS = "requests_total";
    REQUEST_DURATION = "request_duration_seconds";
    SESSIONS_ISSUED = "sessions_issued_total";
    GUESSER_FAILURES = "guesser_failures_total";
    GUESSERS_DELAYED = "guessers_delayed_total";
    GUESSERS_REFUSED = "guessers_refused_total";
    GUESSERS_WAITING = "guessers_waiting";
    KEYS = "keys";
    KEYS_EXPIRING = "keys_expiring";
    STORE_DURATION = "store_operation_duration_seconds";
    STORE_IN_FLIGHT = "store_operations_in_flight";
}

#[cfg(feature = "s3")]
names! {
    VERIFICATIONS = "verifications_total";
}

#[cfg(any(feature = "etcd", feature = "postgres", feature = "sqlite"))]
names! {
    STORE_BATCH_SIZE = "store_batch_size";
    STORE_QUEUE_DEPTH = "store_queue_depth";
}

#[cfg(feature = "keystone")]
names! {
    KEYSTONE_UP = "keystone_up";
}

#[cfg(feature = "cache")]
names! {
    CACHE_HITS = "cache_hits_total";
    CACHE_ABSENT_HITS = "cache_absent_hits_total";
    CACHE_MISSES = "cache_misses_total";
    CACHE_EVICTIONS = "cache_evictions_total";
    CACHE_REFRESHES = "cache_refreshes_total";
    CACHE_FAILED_REFRESHES = "cache_failed_refreshes_total";
    CACHE_FEED_CHANGES = "cache_feed_changes_total";
    CACHE_FEED_BREAKS = "cache_feed_breaks_total";
    CACHE_ENTRIES = "cache_entries";
    CACHE_ABSENCES = "cache_absences";
    CACHE_STALENESS = "cache_staleness_seconds";
    CACHE_FEED_CONNECTED = "cache_feed_connected";
    CACHE_FEED_LAG = "cache_feed_lag_seconds";
}

#[cfg(feature = "audit")]
names! {
    AUDIT_HEALTHY = "audit_healthy";
    AUDIT_LOST = "audit_lost_total";
    AUDIT_WAITING = "audit_waiting";
    AUDIT_WRITTEN = "audit_lines_total";
}
