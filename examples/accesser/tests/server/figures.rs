//! What the log tells of the keys in memory, and how old an answer may be.

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

type Figures = HashMap<String, u64>;

/// Waits for figures that are as wanted.
async fn figures(accesser: &Running, wanted: impl Fn(&Figures) -> bool) -> Figures {
    for () in Waiting::start() {
        let log = accesser.stderr();
        let last = log.lines().rev().find_map(|line| line.split_once("keys in memory "));
        let pairs = last.into_iter().flat_map(|(_, figures)| figures.split_whitespace());
        let figures: Figures = pairs
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect();
        if !figures.is_empty() && wanted(&figures) {
            return figures;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("no such figures:\n{}", accesser.stderr());
}

/// Some keys that were asked for, one of them twice and one that there is none of.
async fn uses_keys(accesser: &Running) {
    for bucket in ["one", "two"] {
        let key = mint(&accesser.client(), "dev-alice").await;
        Store::new(&accesser.client(), &accesser.url, bucket, &key).make().await.expect(200);
        let mut unknown = key.clone();
        unknown.access = format!("{}-unknown", key.access);
        let store = Store::new(&accesser.client(), &accesser.url, bucket, &unknown);
        store.list().await.refused("InvalidAccessKeyId");
    }
}

#[tokio::test]
async fn the_log_tells_what_is_in_memory_and_how_old_an_answer_may_be() {
    let accesser = Server::new(ACCESSER).arguments(&["--figures-every", "1"]).start().await;
    uses_keys(&accesser).await;
    let told = |figures: &Figures| {
        figures["records"] == 2 && figures["absences"] == 2 && figures.contains_key("feed_lag_ms")
    };
    let figures = figures(&accesser, told).await;
    assert_eq!(figures["max_staleness_ms"], 10_000);
    assert!(figures["misses"] >= 4, "{figures:?}");
    // A feed counts for a second after it last said that it is complete.
    assert!(figures["feed_lag_ms"] < 1_000 && figures["staleness_ms"] < 1_000, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_when_changes_are_no_longer_told_and_how_old_answers_get() {
    let Some(mut server) = postgres::Server::start(&["fsync = off"]) else { return };
    let url = server.database().await;
    let arguments = ["--backend", &url, "--figures-every", "1", "--key-ttl", "6"];
    let accesser = Server::new(ACCESSER).arguments(&arguments).start().await;
    figures(&accesser, |figures| figures.contains_key("feed_lag_ms")).await;
    uses_keys(&accesser).await;
    server.kill();
    let lost = |figures: &Figures| !figures.contains_key("feed_lag_ms");
    let old = figures(&accesser, |it| lost(it) && it["staleness_ms"] > 2_000).await;
    assert!(old["feed_breaks"] == 1 && old["records"] == 2, "{old:?}");
    assert!(old["staleness_ms"] <= old["max_staleness_ms"], "{old:?}");
    assert_eq!(old["max_staleness_ms"], 6_000);
    // What is too old is forgotten.
    figures(&accesser, |it| lost(it) && it["staleness_ms"] == 0).await;
    server.restart();
    figures(&accesser, |figures| figures.contains_key("feed_lag_ms")).await;
}
