//! Metrics of a cache.

use std::sync::Arc;

use test_support::{records, waiting::Waiting};
use tower_credentials::{
    backend::{CredentialBackend, cached::Cached, memory::MemoryBackend},
    domain::{AccessKey, Quota},
};

use crate::recorder::Recorded;

#[tokio::test]
async fn cache_publishes_its_counts_and_how_it_follows_its_feed() {
    let (recorded, store) = (Recorded::default(), MemoryBackend::default());
    let keys = Cached::builder(store.clone()).capacity(64).build();
    for index in 0..200 {
        let record = Arc::new(records::pair("alice", &format!("key-{index}"), "a-secret"));
        store.insert(&record, Quota::Unlimited).await.unwrap();
        keys.find_by_access_key(&AccessKey::from_stored(format!("key-{index}"))).await.unwrap();
    }
    for _ in 0..2 {
        keys.find_by_access_key(&AccessKey::from_stored("unknown")).await.unwrap();
    }
    keys.find_by_access_key(&AccessKey::from_stored("key-199")).await.unwrap();
    recorded.within(|| keys.publish_metrics());
    let value = |name: &str| recorded.value(&format!("tower_credentials_cache_{name}"));
    let stats = keys.stats();
    assert!(stats.evictions >= 136 && stats.entries <= 64, "{stats:?}");
    assert_eq!(stats.evictions + stats.entries as u64, 200, "{stats:?}");
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    for (name, count) in [
        ("hits_total", 1.0),
        ("absent_hits_total", 1.0),
        ("misses_total", 201.0),
        ("evictions_total", stats.evictions as f64),
        ("refreshes_total", 0.0),
        ("failed_refreshes_total", 0.0),
        ("feed_changes_total", 0.0),
        ("feed_breaks_total", 0.0),
        ("entries", stats.entries as f64),
        ("absences", 1.0),
        ("feed_connected", 0.0),
    ] {
        assert!((value(name) - count).abs() < 0.1, "{name}: {} and not {count}", value(name));
    }
    assert!(value("staleness_seconds") > 0.0);
    assert!(value("feed_lag_seconds").is_nan());

    keys.follow(store);
    for () in Waiting::start() {
        if keys.feed_lag().is_some() {
            break;
        }
        tokio::time::sleep(Waiting::STEP).await;
    }
    recorded.within(|| keys.publish_metrics());
    assert!((value("feed_connected") - 1.0).abs() < 0.1);
    assert!(value("feed_lag_seconds") >= 0.0);
}
