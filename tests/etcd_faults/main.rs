//! Tests `EtcdBackend` on clusters of three members that fail under load.
//!
//! Each test prints how many writes were acknowledged, how many of those were lost, and the longest
//! time without an acknowledged write.

#![allow(clippy::disallowed_methods, reason = "the measurements need the time")]

mod cut;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use test_support::{etcd, load::Load, network, records};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, contract::Maintenance, etcd::EtcdBackend},
    domain::{Credential, Quota},
};

use self::etcd::Cluster;

/// Allows one cluster at a time. Members on an overloaded machine elect leaders without a fault.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The default timeout of [`EtcdBackend`], and some more for a busy machine.
const CALL: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn kill_of_a_follower_loses_nothing() {
    let Some((_alone, mut cluster)) = cluster().await else { return };
    let load = start(&cluster.url()).await;
    for round in 0..3 {
        load.progress(200).await;
        let doomed = (cluster.wait_for_leader() + 1 + round % 2) % 3;
        cluster.kill(doomed);
        load.progress(200).await;
        cluster.restart(doomed);
    }
    end("a follower killed three times", &cluster.url(), load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_of_the_leader_loses_nothing() {
    let Some((_alone, mut cluster)) = cluster().await else { return };
    let load = start(&cluster.url()).await;
    for _ in 0..3 {
        load.progress(200).await;
        let doomed = cluster.wait_for_leader();
        cluster.kill(doomed);
        load.progress(200).await;
        cluster.restart(doomed);
        cluster.wait_for_leader();
    }
    end("the leader killed three times", &cluster.url(), load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_leader_is_skipped() {
    let Some((_alone, cluster)) = cluster().await else { return };
    let load = start(&cluster.url()).await;
    for _ in 0..2 {
        load.progress(200).await;
        let frozen = cluster.wait_for_leader();
        cluster.suspend(frozen);
        load.progress(200).await;
        cluster.resume(frozen);
    }
    load.progress(200).await;
    let silence = end("the leader stopped twice, for a while", &cluster.url(), load).await;
    // The other members are asked long before the timeout of a call.
    assert!(silence < Duration::from_secs(5), "{silence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_fail_in_time_without_a_majority_and_resume_when_it_returns() {
    let Some((_alone, mut cluster)) = cluster().await else { return };
    let backend = EtcdBackend::open(&cluster.url()).await.unwrap();
    let before = pair("bob");
    backend.insert(&before, Quota::Unlimited).await.unwrap();
    let load = start(&cluster.url()).await;
    load.progress(200).await;
    cluster.kill(0);
    cluster.kill(1);
    // The last leader may still answer some writes.
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
    // Concurrent calls must not add up their timeouts.
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
    load.progress(200).await;
    println!("two of three killed: writes again {:?} after one returned", returned.elapsed());
    assert_eq!(backend.get(&before.id).await.unwrap(), Some(before));
    end("two of three killed", &cluster.url(), load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_a_missing_cluster_fail_within_the_timeout() {
    let Some((_alone, mut cluster)) = cluster().await else { return };
    let limit = Duration::from_secs(1);
    let builder = EtcdBackend::builder(cluster.url()).timeout(limit);
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

/// A key pair of this user.
fn pair(user: &str) -> Arc<Credential> {
    records::new_pair_in("demo", user).into()
}

/// Starts two writers for each user, with two handles, as in two processes. Every other user has
/// a small quota.
async fn start(url: &str) -> Load {
    let quotas = [1_000_000, 8, 1_000_000, 8].map(Quota::AtMost);
    Load::start(&[fresh(url).await, fresh(url).await], quotas.into())
}

/// Ends the load and asserts that the store has exactly what was acknowledged. Returns the longest
/// time without an acknowledged write.
async fn end(what: &str, url: &str, load: Load) -> Duration {
    let backend = fresh(url).await;
    let done = load.stop(what, &backend).await;
    assert!(done.full > 0, "no quota was ever exceeded");
    assert_eq!(backend.check_counters().await.unwrap().unwrap().wrong, 0);
    done.silence
}

/// Opens the store again, as a new process would.
async fn fresh(url: &str) -> Arc<EtcdBackend> {
    Arc::new(EtcdBackend::open(url).await.unwrap())
}
