//! Stores of an earlier release.

use std::time::Duration;

use tower_credentials::{
    backend::{
        CredentialBackend, ListQuery, Order,
        contract::{BulkLoad, Maintenance},
        etcd::EtcdBackend,
    },
    domain::{Blob, Kind, Material},
};

use crate::{Cluster, cluster, connect, insert, pair};

const PREFIX: &str = "tower-credentials/";

/// Makes the entries of a record those of version 1: they were `i` keys of each owner, and no `i`
/// keys of the store.
fn downgrade(cluster: &Cluster, record: &tower_credentials::domain::Credential) {
    let (id, user) = (record.id.as_str(), record.user_id.as_str());
    if record.access_key.is_some() {
        cluster.put(&format!("{PREFIX}u{}:{user}i{id}", user.len()), "");
    } else {
        cluster.delete(&format!("{PREFIX}i{id}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_of_an_earlier_release_is_upgraded_when_it_is_opened() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let backend = connect(&cluster).await;
    let mut records: Vec<_> = (0..300).map(|_| pair("bob")).collect();
    for record in records.iter_mut().step_by(3) {
        let opaque = std::sync::Arc::make_mut(record);
        opaque.access_key = None;
        opaque.kind = Kind::new("totp").unwrap();
        opaque.material = Material::Blob(Blob::new("a blob"));
    }
    backend.load(&records).await.unwrap();
    for record in &records {
        downgrade(&cluster, record);
    }
    cluster.put(&format!("{PREFIX}v"), "1");
    assert!(!backend.check_indexes().await.unwrap().is_empty());

    // Some are interrupted.
    for millis in [1, 5, 20] {
        let opening = EtcdBackend::open(cluster.url());
        let _ = tokio::time::timeout(Duration::from_millis(millis), opening).await;
    }
    let backend = connect(&cluster).await;
    assert_eq!(cluster.get(&format!("{PREFIX}v")).as_deref(), Some("2"));
    assert_eq!(backend.check_indexes().await.unwrap(), Vec::<String>::new());
    assert_eq!(backend.check_counters().await.unwrap().unwrap().wrong, 0);
    for query in [ListQuery::new(Order::Key), crate::paging::of_user("bob")] {
        assert_eq!(backend.list(&query).await.unwrap().credentials.len(), 300);
    }
    // The record, and its entries in the lists of all, of its user and of its project.
    assert_eq!(cluster.count(PREFIX), 4 * 300 + 3, "and the version, a counter, a change");
}

/// A process that was not stopped continues to write as before.
#[tokio::test(flavor = "multi_thread")]
async fn entries_of_a_running_earlier_release_are_reported_and_repaired() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let backend = connect(&cluster).await;
    let mut opaque = (*pair("bob")).clone();
    opaque.access_key = None;
    let records = [pair("bob"), opaque.into()];
    for record in &records {
        insert(&backend, record).await.unwrap();
        downgrade(&cluster, record);
    }
    // Lists of an owner show each record once.
    let owned = backend.list(&crate::paging::of_user("bob").with_limit(1)).await.unwrap();
    assert_eq!((owned.credentials.len(), owned.next.is_some()), (1, true));
    let page = backend.list(&crate::paging::of_user("bob")).await.unwrap();
    assert_eq!(page.credentials.len(), 2);

    assert_eq!(backend.check_indexes().await.unwrap().len(), 2);
    backend.repair_indexes().await.unwrap();
    assert_eq!(backend.check_indexes().await.unwrap(), Vec::<String>::new());
    assert_eq!(backend.check_counters().await.unwrap().unwrap().wrong, 0);

    // Its delete leaves an entry that points to nothing.
    cluster.put(&format!("{PREFIX}igone"), "gone");
    let all = backend.list(&ListQuery::new(Order::Key)).await.unwrap();
    assert_eq!(all.credentials.len(), 2);
    assert_eq!(backend.purge_user(&records[0].user_id).await.unwrap(), 2);
}
