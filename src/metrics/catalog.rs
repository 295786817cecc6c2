//! [`ALL`]: every metric of the crate.

use crate::meter::names;

/// A metric of this crate.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// The name, which begins with `tower_credentials_`.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// One sentence about it, and its labels.
    pub help: &'static str,
    /// The upper bounds of the buckets that suit a histogram. Empty for other kinds.
    pub buckets: &'static [f64],
}

/// The kind of a [`Metric`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A distribution of numbers.
    Histogram,
}

/// Bounds for requests, in seconds.
const REQUESTS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Bounds for calls of a store, in seconds. A store in memory takes microseconds.
const STORES: &[f64] =
    &[0.000_1, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Bounds for the writes of a batch.
#[cfg(any(feature = "etcd", feature = "postgres", feature = "sqlite"))]
const BATCHES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Every metric of this crate, with the features that it was compiled with.
pub const ALL: &[Metric] = &[
    gauge(names::BUILD_INFO, "Always 1. The label version is the version of tower-credentials."),
    counter(
        names::REQUESTS,
        "Requests that the credential layer answered, by dialect, operation and status class.",
    ),
    histogram(
        names::REQUEST_DURATION,
        "Time to answer a request of the credential layer, by dialect and operation.",
        REQUESTS,
    ),
    counter(names::SESSIONS_ISSUED, "Sessions that STS issued, by action."),
    counter(names::GUESSER_FAILURES, "Requests with an invalid signature or an unknown token."),
    counter(names::GUESSERS_DELAYED, "Failures with a late response, because there were too many."),
    counter(
        names::GUESSERS_REFUSED,
        "Failures whose response was not late, because too many others waited.",
    ),
    gauge(names::GUESSERS_WAITING, "Late responses that wait now."),
    #[cfg(feature = "audit")]
    gauge(names::AUDIT_HEALTHY, "Whether the audit file can be written: 1 or 0."),
    #[cfg(feature = "audit")]
    counter(names::AUDIT_LOST, "Audit events that were lost, because too many waited."),
    #[cfg(feature = "audit")]
    gauge(names::AUDIT_WAITING, "Audit events that wait for the file."),
    #[cfg(feature = "audit")]
    counter(names::AUDIT_WRITTEN, "Lines of the audit file that were written."),
    #[cfg(feature = "s3")]
    counter(
        names::VERIFICATIONS,
        "S3 requests that were verified or refused, by mechanism of the signature and outcome.",
    ),
    #[cfg(feature = "cache")]
    counter(names::CACHE_HITS, "Lookups that the cache answered with a record."),
    #[cfg(feature = "cache")]
    counter(names::CACHE_ABSENT_HITS, "Lookups that the cache answered: the key does not exist."),
    #[cfg(feature = "cache")]
    counter(names::CACHE_MISSES, "Lookups that waited for the store."),
    #[cfg(feature = "cache")]
    counter(names::CACHE_EVICTIONS, "Records that left the cache to make room for others."),
    #[cfg(feature = "cache")]
    counter(names::CACHE_REFRESHES, "Records that the cache looked up again in the background."),
    #[cfg(feature = "cache")]
    counter(names::CACHE_FAILED_REFRESHES, "Refreshes that failed."),
    #[cfg(feature = "cache")]
    counter(names::CACHE_FEED_CHANGES, "Changes that the change feed reported."),
    #[cfg(feature = "cache")]
    counter(names::CACHE_FEED_BREAKS, "How often the change feed broke."),
    #[cfg(feature = "cache")]
    gauge(names::CACHE_ENTRIES, "Records in the cache, including stale ones."),
    #[cfg(feature = "cache")]
    gauge(names::CACHE_ABSENCES, "Absent access keys in the cache, including stale ones."),
    #[cfg(feature = "cache")]
    gauge(
        names::CACHE_STALENESS,
        "Age of the oldest change by others that a lookup in the cache could miss now.",
    ),
    #[cfg(feature = "cache")]
    gauge(names::CACHE_FEED_CONNECTED, "1 if the cache follows a change feed that works, else 0."),
    #[cfg(feature = "cache")]
    gauge(
        names::CACHE_FEED_LAG,
        "Time since the change feed last confirmed that it is complete. NaN without a feed that \
         works.",
    ),
    histogram(
        names::STORE_DURATION,
        "Time of a call of the store, by kind of store, operation and outcome.",
        STORES,
    ),
    gauge(names::STORE_IN_FLIGHT, "Calls of the store that have not returned, by kind of store."),
    #[cfg(any(feature = "etcd", feature = "postgres", feature = "sqlite"))]
    histogram(
        names::STORE_BATCH_SIZE,
        "Writes that the store sent or committed together, by kind of store.",
        BATCHES,
    ),
    #[cfg(any(feature = "etcd", feature = "postgres", feature = "sqlite"))]
    gauge(
        names::STORE_QUEUE_DEPTH,
        "Writes that wait for a batch or are being committed, by kind of store.",
    ),
    #[cfg(feature = "keystone")]
    gauge(
        names::KEYSTONE_UP,
        "1 if Keystone answered the last call of the client, 0 if it failed or was not reachable.",
    ),
    gauge(names::KEYS, "Key pairs in the store by state, as of the last sample."),
    gauge(
        names::KEYS_EXPIRING,
        "Active key pairs that expire within this time, as of the last sample.",
    ),
];

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, help, buckets: &[] }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, help, buckets: &[] }
}

const fn histogram(name: &'static str, help: &'static str, buckets: &'static [f64]) -> Metric {
    Metric { name, kind: MetricKind::Histogram, help, buckets }
}
