//! A damaged record fails only the calls that include it.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, Order,
        contract::{BulkLoad, Loaded, Maintenance},
        etcd::EtcdBackend,
    },
    domain::{Credential, Quota, Slot},
};

use crate::etcd::Cluster;
use crate::{cluster, connect, damaged_list::read_around_damage, insert, pair};

/// Overwrites a record with an invalid value.
fn damage(cluster: &Cluster, record: &Credential) {
    let key = format!("tower-credentials/r{}", record.id.as_str());
    assert!(cluster.get(&key).is_some(), "{key} is not where the records are");
    cluster.put(&key, "{\"hush");
}

/// Stores records of one user, sorted by id. The second one is damaged.
async fn with_damage(cluster: &Cluster) -> (EtcdBackend, Vec<Arc<Credential>>) {
    let backend = connect(cluster).await;
    let mut records: Vec<_> = (0..5).map(|_| pair("bob")).collect();
    for (record, second) in records.iter_mut().zip(7..) {
        let expires_at = UNIX_EPOCH + Duration::from_secs(second / 2);
        Arc::make_mut(record).terms.set_expires_at(Some(expires_at));
    }
    records.sort_by(|a, b| a.id.cmp(&b.id));
    let mut in_slot = (*records[1]).clone();
    in_slot.slot = Some(Slot::Ec2);
    records[1] = in_slot.into();
    for record in &records {
        insert(&backend, record).await.unwrap();
    }
    let mut other = (*pair("amy")).clone();
    other.terms.set_expires_at(Some(UNIX_EPOCH + Duration::from_secs(9)));
    insert(&backend, &other.into()).await.unwrap();
    damage(cluster, &records[1]);
    (backend, records)
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_record_is_skipped_and_discarded_with_its_index_entries() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let (backend, records) = with_damage(&cluster).await;
    let damaged = &records[1];
    assert!(matches!(backend.get(&damaged.id).await, Err(BackendError::Corrupt(_))));

    for order in [Order::ExpiresAt, Order::Key] {
        let marker = order.marker(damaged).unwrap();
        assert_eq!(read_around_damage(&backend, order).await, (5, vec![marker]), "{order:?}");
    }

    assert!(backend.discard(&damaged.id).await.unwrap());
    assert!(!backend.discard(&damaged.id).await.unwrap());
    assert_eq!(backend.get(&damaged.id).await.unwrap(), None);
    assert_eq!(backend.list(&crate::paging::of_user("bob")).await.unwrap().credentials.len(), 4);
    assert_eq!(backend.check_counters().await.unwrap().unwrap().wrong, 0);
    // Its access key, its slot and its place in the quota are free.
    backend.insert(damaged, Quota::AtMost(5)).await.unwrap();
    assert!(
        backend.discard(&records[0].id).await.unwrap(),
        "an intact record can be discarded too"
    );
    assert_eq!(backend.get(&records[0].id).await.unwrap(), None);
    assert_eq!(backend.check_counters().await.unwrap().unwrap().wrong, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn load_refuses_a_record_that_conflicts_with_a_damaged_one() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let (backend, mut records) = with_damage(&cluster).await;
    records.push(pair("bob"));
    let loaded = backend.load(&records).await.unwrap();
    let there = Loaded::AlreadyThere;
    assert_eq!(loaded, [there, Loaded::Refused, there, there, there, Loaded::Stored]);
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_deletes_damaged_records() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let (backend, records) = with_damage(&cluster).await;
    assert_eq!(backend.purge_user(&records[0].user_id).await.unwrap(), 5);
    assert!(backend.list(&crate::paging::of_user("bob")).await.unwrap().credentials.is_empty());
    assert_eq!(backend.check_counters().await.unwrap().unwrap().wrong, 0);
    insert(&backend, &records[1]).await.unwrap();
}
