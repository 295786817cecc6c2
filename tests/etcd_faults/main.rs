//! What is left of `EtcdBackend` when members of its cluster are not: real clusters of
//! three, under load.
//!
//! Each test prints what was acknowledged, what of it is lost, and for how long nothing
//! was: figures of this machine, which is busy with the other tests too.

#![allow(clippy::disallowed_methods, reason = "the figures need the time")]

mod cut;
mod load;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use test_support::{etcd, network};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, etcd::EtcdBackend},
    domain::Quota,
};

use self::etcd::Cluster;
use self::load::{Load, pair};

/// One cluster at a time: members that starve elect leaders for no other reason.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What [`EtcdBackend`] gives a call by default, and some more for a busy machine.
const CALL: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_killed_takes_nothing_along() {
    let Some((_alone, mut cluster)) = cluster().await else { return };
    let load = Load::start(&cluster.url()).await;
    for round in 0..3 {
        load.until_more(200).await;
        let doomed = (cluster.wait_for_leader() + 1 + round % 2) % 3;
        cluster.kill(doomed);
        load.until_more(200).await;
        cluster.restart(doomed);
    }
    load.end("a follower killed three times").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_takes_nothing_along() {
    let Some((_alone, mut cluster)) = cluster().await else { return };
    let load = Load::start(&cluster.url()).await;
    for _ in 0..3 {
        load.until_more(200).await;
        let doomed = cluster.wait_for_leader();
        cluster.kill(doomed);
        load.until_more(200).await;
        cluster.restart(doomed);
        cluster.wait_for_leader();
    }
    load.end("the leader killed three times").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stands_still_is_left_alone() {
    let Some((_alone, cluster)) = cluster().await else { return };
    let load = Load::start(&cluster.url()).await;
    for _ in 0..2 {
        load.until_more(200).await;
        let frozen = cluster.wait_for_leader();
        cluster.suspend(frozen);
        load.until_more(200).await;
        cluster.resume(frozen);
    }
    load.until_more(200).await;
    let silence = load.end("the leader stopped twice, for a while").await;
    // The others are asked long before the time of a call is over.
    assert!(silence < Duration::from_secs(5), "{silence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_most_members_calls_are_refused_in_time_and_go_on_when_one_returns() {
    let Some((_alone, mut cluster)) = cluster().await else { return };
    let backend = EtcdBackend::open(&cluster.url()).await.unwrap();
    let before = pair("bob");
    backend.insert(&before, Quota::Unlimited).await.unwrap();
    let load = Load::start(&cluster.url()).await;
    load.until_more(200).await;
    cluster.kill(0);
    cluster.kill(1);
    // What the last leader still had in its hands may be answered.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..2 {
        let started = Instant::now();
        let (read, written) = tokio::join!(backend.get(&before.id), async {
            backend.insert(&pair("bob"), Quota::Unlimited).await
        });
        for outcome in [read.map(drop), written] {
            assert!(matches!(outcome, Err(BackendError::Unavailable(_))), "{outcome:?}");
        }
        assert!(started.elapsed() < CALL, "{:?}", started.elapsed());
    }
    // Those who wait for each other wait no longer.
    let started = Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..60 {
        let (backend, before) = (backend.clone(), before.clone());
        waiting.spawn(async move {
            match n % 2 {
                0 => backend.insert(&pair("bob"), Quota::Unlimited).await,
                _ => backend.delete(&before.id, before.version).await.map(drop),
            }
        });
    }
    for outcome in waiting.join_all().await {
        assert!(matches!(outcome, Err(BackendError::Unavailable(_))), "{outcome:?}");
    }
    assert!(started.elapsed() < CALL, "{:?}", started.elapsed());
    let returned = Instant::now();
    cluster.restart(1);
    load.until_more(200).await;
    println!("two of three killed: writes again {:?} after one returned", returned.elapsed());
    assert_eq!(backend.get(&before.id).await.unwrap(), Some(before));
    load.end("two of three killed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_longer_than_the_time_out_for_a_cluster_that_is_not_there() {
    let Some((_alone, mut cluster)) = cluster().await else { return };
    let limit = Duration::from_secs(1);
    let builder = EtcdBackend::builder(&cluster.url()).timeout(limit);
    let backend = builder.clone().build().await.unwrap();
    for member in 0..3 {
        cluster.kill(member);
    }
    let started = Instant::now();
    let outcome = backend.get(&pair("bob").id).await;
    assert!(matches!(outcome, Err(BackendError::Unavailable(_))), "{outcome:?}");
    builder.build().await.unwrap_err();
    assert!(started.elapsed() < 3 * limit, "{:?}", started.elapsed());
}

async fn cluster() -> Option<(tokio::sync::MutexGuard<'static, ()>, Cluster)> {
    if !etcd::is_installed() {
        return None;
    }
    let alone = ALONE.lock().await;
    Some((alone, Cluster::start(3, &[])))
}

/// A handle for looking at what is there, as of a process that starts now.
async fn fresh(url: &str) -> Arc<EtcdBackend> {
    Arc::new(EtcdBackend::open(url).await.unwrap())
}
