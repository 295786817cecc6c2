//! The metrics of the key cache in the log.

use std::collections::HashMap;

use test_support::{
    clients::rusty_s3::Store,
    keys::mint,
    postgres,
    process::{Running, Server},
    waiting::Waiting,
};
use tokio::time::sleep;

use crate::ACCESSER;

type Metrics = HashMap<String, u64>;

/// Waits until the logged metrics meet a condition.
async fn metrics(accesser: &Running, condition: impl Fn(&Metrics) -> bool) -> Metrics {
    for () in Waiting::start() {
        let log = accesser.stderr();
        let last = log.lines().rev().find_map(|line| line.split_once("key cache "));
        let pairs = last.into_iter().flat_map(|(_, metrics)| metrics.split_whitespace());
        let metrics: Metrics = pairs
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect();
        if !metrics.is_empty() && condition(&metrics) {
            return metrics;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("no such metrics:\n{}", accesser.stderr());
}

/// Uses two keys, and two unknown ones.
async fn use_keys(accesser: &Running) {
    let client = accesser.client();
    let mut keys = Vec::new();
    for bucket in ["one", "two"] {
        let key = mint(&client, "dev-alice").await;
        Store::new(&client, &accesser.url, bucket, &key).create().await.expect(200);
        let mut unknown = key.clone();
        unknown.access = format!("{}-unknown", key.access);
        let store = Store::new(&client, &accesser.url, bucket, &unknown);
        store.list().await.refused("InvalidAccessKeyId");
        keys.push((bucket, key));
    }
    // The notice of its creation evicts a key that was cached before the notice came.
    let logged = || accesser.stderr().matches("key cache ").count();
    let before = logged();
    for () in Waiting::start() {
        if logged() > before {
            break;
        }
        sleep(Waiting::STEP).await;
    }
    for (bucket, key) in keys {
        Store::new(&client, &accesser.url, bucket, &key).list().await.expect(200);
    }
}

#[tokio::test]
async fn cache_metrics_are_logged() {
    let accesser = Server::new(ACCESSER).arguments(&["--metrics-every", "1"]).start().await;
    use_keys(&accesser).await;
    let is_expected = |metrics: &Metrics| {
        metrics["records"] == 2 && metrics["absences"] == 2 && metrics.contains_key("feed_lag_ms")
    };
    let metrics = metrics(&accesser, is_expected).await;
    assert_eq!(metrics["max_staleness_ms"], 10_000);
    assert!(metrics["misses"] >= 4, "{metrics:?}");
    // A feed counts for a second after it last reported that it is complete.
    assert!(metrics["feed_lag_ms"] < 1_000 && metrics["staleness_ms"] < 1_000, "{metrics:?}");
}

#[tokio::test]
async fn former_name_of_the_metrics_option_is_accepted() {
    let accesser = Server::new(ACCESSER).arguments(&["--figures-every", "1"]).start().await;
    metrics(&accesser, |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_metrics_show_a_broken_change_feed() {
    let Some(mut server) = postgres::Server::start(&["fsync = off"]) else { return };
    let url = server.database().await;
    let arguments = ["--backend", &url, "--metrics-every", "1", "--key-ttl", "6"];
    let accesser = Server::new(ACCESSER).arguments(&arguments).start().await;
    metrics(&accesser, |metrics| metrics.contains_key("feed_lag_ms")).await;
    use_keys(&accesser).await;
    server.kill();
    let lost = |metrics: &Metrics| !metrics.contains_key("feed_lag_ms");
    let old = metrics(&accesser, |it| lost(it) && it["staleness_ms"] > 2_000).await;
    assert!(old["feed_breaks"] == 1 && old["records"] == 2, "{old:?}");
    assert!(old["staleness_ms"] <= old["max_staleness_ms"], "{old:?}");
    assert_eq!(old["max_staleness_ms"], 6_000);
    // Too old entries are removed.
    metrics(&accesser, |it| lost(it) && it["staleness_ms"] == 0).await;
    server.restart();
    metrics(&accesser, |metrics| metrics.contains_key("feed_lag_ms")).await;
}
