//! The change feed when members fail or compact revisions.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tower_credentials::{
    backend::{
        CredentialBackend,
        contract::{Change, ChangeFeed, Changes},
    },
    domain::Credential,
};

use crate::{cluster, connect, insert, pair};

/// Longer than any call may take.
const TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_another_process_are_reported_within_one_second() {
    let Some(cluster) = cluster(3, &[]) else { return };
    let (backend, other) = (connect(&cluster).await, connect(&cluster).await);
    let mut feed = started(&backend).await;
    for _ in 0..20 {
        let record = pair("bob");
        insert(&other, &record).await.unwrap();
        let reported = timeout(Duration::from_secs(1), until_reported(&mut *feed, &record)).await;
        assert!(reported.expect("within a second"));
        assert!(other.delete(&record.id, record.version).await.unwrap());
        let reported = timeout(Duration::from_secs(1), until_reported(&mut *feed, &record)).await;
        assert!(reported.expect("within a second"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscription_misses_nothing_or_ends_when_a_member_is_killed() {
    let Some(mut cluster) = cluster(3, &[]) else { return };
    let (backend, other) = (connect(&cluster).await, connect(&cluster).await);
    for doomed in 0..3 {
        let mut feed = started(&backend).await;
        cluster.kill(doomed);
        let record = pair("bob");
        let inserted = insert(&other, &record);
        let reported = async { until_reported(&mut *feed, &record).await };
        let (inserted, reported) = tokio::join!(inserted, timeout(TIMEOUT, reported));
        // Either the change is reported, or the subscription has ended and can be renewed.
        if !reported.expect("reported or ended in time") {
            let mut feed = started(&backend).await;
            let record = pair("bob");
            insert(&other, &record).await.unwrap();
            assert!(timeout(TIMEOUT, until_reported(&mut *feed, &record)).await.unwrap());
        }
        inserted.unwrap();
        cluster.restart(doomed);
        cluster.wait_for_leader();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscription_ends_when_most_members_are_gone() {
    let Some(mut cluster) = cluster(3, &[]) else { return };
    let backend = connect(&cluster).await;
    let mut feed = started(&backend).await;
    cluster.kill(0);
    cluster.kill(1);
    let ended = async { while feed.next().await.is_ok() {} };
    // A read may have succeeded just before. Then it takes one tick and the delivery timeout.
    timeout(Duration::from_secs(3), ended).await.expect("the subscription ends");
    assert!(backend.subscribe().await.is_err());
    cluster.restart(0);
    cluster.wait_for_leader();
    started(&backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_member_is_noticed_at_the_next_change() {
    let Some(cluster) = cluster(3, &[]) else { return };
    let backend = connect(&cluster).await;
    let mut handles = Vec::new();
    for _ in 0..6 {
        handles.push(connect(&cluster).await);
    }
    // Each handle watches some member, so sooner or later one of the suspended ones.
    let mut ended = 0;
    for frozen in 0..3 {
        let mut feeds = Vec::new();
        for handle in &handles {
            feeds.push(started(handle).await);
        }
        cluster.suspend(frozen);
        let record = pair("bob");
        insert(&backend, &record).await.unwrap();
        for feed in &mut feeds {
            let reported = timeout(TIMEOUT, until_reported(&mut **feed, &record)).await;
            ended += usize::from(!reported.expect("reported or ended"));
        }
        cluster.resume(frozen);
        cluster.wait_for_leader();
    }
    println!("members that hang: {ended} of 18 subscriptions ended, the others went on");
    assert!(ended > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscription_ends_when_its_revision_is_compacted() {
    let Some(mut cluster) = cluster(1, &[]) else { return };
    let (backend, other) = (connect(&cluster).await, connect(&cluster).await);
    let mut feed = started(&backend).await;
    // The watch breaks, and the changes in the meantime are compacted.
    cluster.kill(0);
    cluster.restart(0);
    cluster.wait_for_leader();
    insert(&other, &pair("bob")).await.unwrap();
    cluster.compact();
    let ended = async { while feed.next().await.is_ok() {} };
    timeout(TIMEOUT, ended).await.expect("the subscription ends");
    started(&backend).await;
}

/// A subscription after its initial notice.
async fn started(feed: &impl ChangeFeed) -> Box<dyn Changes> {
    let mut changes = feed.subscribe().await.unwrap();
    let first = changes.next().await.unwrap();
    assert_eq!(first.changes.first(), Some(&Change::Everything));
    changes
}

/// Whether a change of this record is reported before the subscription ends.
async fn until_reported(feed: &mut dyn Changes, record: &Arc<Credential>) -> bool {
    loop {
        let Ok(notice) = feed.next().await else { return false };
        let is_it =
            |change: &Change| matches!(change, Change::Record { id, .. } if *id == record.id);
        if notice.changes.iter().any(is_it) {
            return true;
        }
    }
}
