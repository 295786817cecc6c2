//! Members that are cut off from their peers but not from clients, and slow members.

use std::time::{Duration, Instant};

use tokio::{sync::MutexGuard, time::sleep};
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, KeySource, ListQuery, Order, cached::Cached,
        etcd::EtcdBackend,
    },
    domain::Quota,
};

use crate::etcd::Cluster;
use crate::network::Network;
use crate::{ALONE, CALL, end, etcd, fresh, pair, start};

/// How long a cache relies on its feed after the last complete notice.
const TRUST: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_is_cut_off_from_its_peers_is_skipped() {
    let Some((_alone, cluster, network)) = cluster_behind_proxies().await else { return };
    let load = start(&cluster.url()).await;
    for _ in 0..2 {
        load.progress(150).await;
        let leader = cluster.wait_for_leader();
        network.cut(leader, cluster.pid(leader));
        cluster.wait_for_leader_but(leader);
        load.progress(150).await;
        // The doors of both directions are closed.
        let others = cluster.led_by((leader + 1) % 3);
        assert!(others.is_some() && cluster.led_by(leader) != others, "not cut off");
        network.heal();
    }
    load.progress(150).await;
    let silence =
        end("the leader cut off from its peers twice, for a while", &cluster.url(), load).await;
    // In the worst order each member takes its share of the timeout.
    assert!(silence < CALL, "{silence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn member_that_is_cut_off_returns_no_stale_data() {
    let Some((_alone, cluster, network)) = cluster_behind_proxies().await else { return };
    let leader = cluster.wait_for_leader();
    let others: Vec<_> = (0..3).filter(|member| *member != leader).collect();
    let majority = fresh(&cluster.url_of(&others)).await;
    let limit = Duration::from_secs(2);
    let alone = EtcdBackend::builder(cluster.url_of(&[leader])).timeout(limit);
    let alone = alone.build().await.unwrap();
    // Each handle prefers a random member at first.
    let mut both = Vec::new();
    for _ in 0..8 {
        both.push(fresh(&cluster.url_of(&[leader, others[0]])).await);
    }
    let (revoked, kept) = (pair("bob"), pair("bob"));
    for record in [&revoked, &kept] {
        majority.insert(record, Quota::Unlimited).await.unwrap();
        assert!(alone.get(&record.id).await.unwrap().is_some());
    }

    network.cut(leader, cluster.pid(leader));
    while !majority.delete(&revoked.id, revoked.version).await.is_ok_and(|done| done) {
        assert!(
            majority.get(&revoked.id).await.unwrap().is_some(),
            "deleted without acknowledgement"
        );
    }
    let access_key = revoked.access_key.as_ref().unwrap();
    let (by_id, by_key) =
        tokio::join!(alone.get(&revoked.id), alone.find_by_access_key(access_key));
    let listed = alone.list(&ListQuery::new(Order::Key)).await;
    for outcome in [by_id.map(drop), by_key.map(drop), listed.map(drop)] {
        assert!(matches!(outcome, Err(BackendError::Unavailable(_))), "{outcome:?}");
    }
    let mut longest = Duration::ZERO;
    for backend in &both {
        let began = Instant::now();
        assert_eq!(backend.get(&revoked.id).await.unwrap(), None);
        assert_eq!(backend.get(&kept.id).await.unwrap().as_ref(), Some(&kept));
        longest = longest.max(began.elapsed());
    }
    println!("a member cut off: another is asked after at most {longest:.2?}");
    assert!(longest < CALL, "{longest:?}");

    network.heal();
    let healed = Instant::now();
    let found = loop {
        match alone.get(&revoked.id).await {
            Ok(found) => break found,
            Err(_) => assert!(healed.elapsed() < 2 * CALL, "the member does not recover"),
        }
    };
    assert_eq!(found, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_that_follows_a_cut_off_member_serves_no_revoked_key_for_more_than_a_second() {
    let Some((_alone, cluster, network)) = cluster_behind_proxies().await else { return };
    let (mut served, mut moved) = (Duration::ZERO, Duration::ZERO);
    for is_leader in [true, false] {
        let backend = EtcdBackend::open(&cluster.url()).await.unwrap();
        let ttl = Duration::from_millis(100);
        let cached = Cached::builder(backend.clone()).ttl(ttl).build();
        cached.follow(backend);
        until_followed(&cached).await;
        let watched = (0..3).find(|member| cluster.watches(*member) > 0).unwrap();
        cluster.hand_to(if is_leader { watched } else { (watched + 1) % 3 });
        let others: Vec<_> = (0..3).filter(|member| *member != watched).collect();
        let majority = fresh(&cluster.url_of(&others)).await;
        let record = pair("bob");
        majority.insert(&record, Quota::Unlimited).await.unwrap();
        let access_key = record.access_key.as_ref().unwrap();
        until_followed(&cached).await;
        assert!(cached.find(access_key).await.unwrap().is_some());
        sleep(2 * ttl).await;

        network.cut(watched, cluster.pid(watched));
        let cut = Instant::now();
        while !majority.delete(&record.id, record.version).await.is_ok_and(|done| done) {
            assert!(
                majority.get(&record.id).await.unwrap().is_some(),
                "deleted without acknowledgement"
            );
        }
        let revoked = Instant::now();
        // Requested again and again, also while other requests wait for the store.
        loop {
            let asked = revoked.elapsed();
            match cached.find(access_key).await {
                Ok(None) if cached.feed_lag().is_some() => break,
                Ok(Some(_)) => served = served.max(asked),
                _ => {}
            }
            assert!(asked < 2 * CALL, "the feed does not recover");
            sleep(Duration::from_millis(5)).await;
        }
        moved = moved.max(cut.elapsed());
        network.heal();
        cluster.wait_for_leader();
        drop(cached);
        while (0..3).any(|member| cluster.watches(member) > 0) {
            sleep(Duration::from_millis(20)).await;
        }
    }
    println!(
        "the member of a feed cut off: a revoked key was served for at most {served:.2?}, \
         and its feed moved to another after {moved:.2?}"
    );
    assert!(served <= TRUST, "{served:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_member_slows_down_only_its_own_calls() {
    const DELAY: Duration = Duration::from_millis(300);
    let Some((_alone, cluster, _peers)) = cluster_behind_proxies().await else { return };
    // Slow for clients, not for its peers.
    let network = Network::new(3);
    let doors: Vec<_> = (0..3)
        .map(|member| format!("127.0.0.1:{}", network.door(member, cluster.port(member))))
        .collect();
    let load = start(&format!("etcd://{}", doors.join(","))).await;
    load.progress(50).await;
    // Each member in turn, so that each is also the preferred one.
    for (slow, door) in doors.iter().enumerate() {
        let alone = fresh(&format!("etcd://{door}")).await;
        network.slow(slow, DELAY);
        let (before, began) = (load.acknowledged(), Instant::now());
        alone.insert(&pair("bob"), Quota::AtMost(10)).await.unwrap();
        let took = began.elapsed();
        assert!(took > 2 * DELAY, "not slow: {took:?}");
        let writes = load.acknowledged() - before;
        println!(
            "member {slow} slow by {DELAY:?} each way: one write through it alone took {took:.2?}, \
             and {writes} were done meanwhile"
        );
        assert!(writes > 0, "no writes any more");
        network.slow(slow, Duration::ZERO);
    }
    load.progress(50).await;
    let silence = end("each member slow for a while", &cluster.url(), load).await;
    assert!(silence < Duration::from_secs(5), "{silence:?}");
}

/// Starts a cluster whose members connect to each other through proxies that can cut them off.
async fn cluster_behind_proxies() -> Option<(MutexGuard<'static, ()>, Cluster, Network)> {
    if !etcd::is_installed() {
        return None;
    }
    let alone = ALONE.lock().await;
    let network = Network::new(3);
    let cluster = Cluster::start_behind(3, &[], &|member, port| network.door(member, port));
    Some((alone, cluster, network))
}

/// Waits until the cache relies on the feed.
async fn until_followed(cached: &Cached<EtcdBackend>) {
    while cached.feed_lag().is_none() {
        sleep(Duration::from_millis(5)).await;
    }
}
