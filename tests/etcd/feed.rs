//! What is told when members go away, or forget.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tower_credentials::{
    backend::{Change, ChangeFeed, Changes, CredentialBackend},
    domain::Credential,
};

use crate::{cluster, connect, insert, pair};

/// More than any call may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_another_process_is_told_within_a_second() {
    let Some(cluster) = cluster(3, &[]) else { return };
    let (backend, other) = (connect(&cluster).await, connect(&cluster).await);
    let mut feed = begun(&backend).await;
    for _ in 0..20 {
        let record = pair("bob");
        insert(&other, &record).await.unwrap();
        let told = timeout(Duration::from_secs(1), until_told(&mut *feed, &record)).await;
        assert!(told.expect("within a second"));
        assert!(other.delete(&record.id, record.version).await.unwrap());
        let told = timeout(Duration::from_secs(1), until_told(&mut *feed, &record)).await;
        assert!(told.expect("within a second"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_member_is_killed_a_subscription_ends_or_misses_nothing() {
    let Some(mut cluster) = cluster(3, &[]) else { return };
    let (backend, other) = (connect(&cluster).await, connect(&cluster).await);
    for doomed in 0..3 {
        let mut feed = begun(&backend).await;
        cluster.kill(doomed);
        let record = pair("bob");
        let inserted = insert(&other, &record);
        let told = async { until_told(&mut *feed, &record).await };
        let (inserted, told) = tokio::join!(inserted, timeout(PATIENCE, told));
        // Either it is told or the subscription has ended, and then a new one can be had.
        if !told.expect("in time") {
            let mut feed = begun(&backend).await;
            let record = pair("bob");
            insert(&other, &record).await.unwrap();
            assert!(timeout(PATIENCE, until_told(&mut *feed, &record)).await.unwrap());
        }
        inserted.unwrap();
        cluster.restart(doomed);
        cluster.wait_for_leader();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_soon_when_most_members_are_gone() {
    let Some(mut cluster) = cluster(3, &[]) else { return };
    let backend = connect(&cluster).await;
    let mut feed = begun(&backend).await;
    cluster.kill(0);
    cluster.kill(1);
    let ended = async { while feed.next().await.is_ok() {} };
    // A read may have been answered just before; then a pulse, and the second it may take.
    timeout(Duration::from_secs(3), ended).await.expect("the subscription ends");
    assert!(backend.subscribe().await.is_err());
    cluster.restart(0);
    cluster.wait_for_leader();
    begun(&backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_hangs_is_noticed_when_something_changes() {
    let Some(cluster) = cluster(3, &[]) else { return };
    let backend = connect(&cluster).await;
    let mut handles = Vec::new();
    for _ in 0..6 {
        handles.push(connect(&cluster).await);
    }
    // Each handle watches some member, so each watches one that hangs, sooner or later.
    let mut ended = 0;
    for frozen in 0..3 {
        let mut feeds = Vec::new();
        for handle in &handles {
            feeds.push(begun(handle).await);
        }
        cluster.suspend(frozen);
        let record = pair("bob");
        insert(&backend, &record).await.unwrap();
        for feed in &mut feeds {
            let told = timeout(PATIENCE, until_told(&mut **feed, &record)).await;
            ended += usize::from(!told.expect("told or ended"));
        }
        cluster.resume(frozen);
        cluster.wait_for_leader();
    }
    println!("members that hang: {ended} of 18 subscriptions ended, the others went on");
    assert!(ended > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_does_not_survive_that_its_past_is_forgotten() {
    let Some(mut cluster) = cluster(1, &[]) else { return };
    let (backend, other) = (connect(&cluster).await, connect(&cluster).await);
    let mut feed = begun(&backend).await;
    // What it watches breaks, and what happens meanwhile is compacted away.
    cluster.kill(0);
    cluster.restart(0);
    cluster.wait_for_leader();
    insert(&other, &pair("bob")).await.unwrap();
    cluster.compact();
    let ended = async { while feed.next().await.is_ok() {} };
    timeout(PATIENCE, ended).await.expect("the subscription ends");
    begun(&backend).await;
}

/// A subscription that has told what it tells first.
async fn begun(feed: &impl ChangeFeed) -> Box<dyn Changes> {
    let mut changes = feed.subscribe().await.unwrap();
    let first = changes.next().await.unwrap();
    assert_eq!(first.changes.first(), Some(&Change::Everything));
    changes
}

/// Whether a change of this record is told before the subscription ends.
async fn until_told(feed: &mut dyn Changes, record: &Arc<Credential>) -> bool {
    loop {
        let Ok(notice) = feed.next().await else { return false };
        let is_it =
            |change: &Change| matches!(change, Change::Record { id, .. } if *id == record.id);
        if notice.changes.iter().any(is_it) {
            return true;
        }
    }
}
