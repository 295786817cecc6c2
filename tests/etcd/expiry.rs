//! The keys of records with an expiry.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use test_support::records::{self, rotation};
use tower_credentials::{
    backend::{CredentialBackend, ListQuery, Order, contract::Maintenance},
    domain::{Quota, Status},
};

use crate::{cluster, connect, insert, pair};

/// Earlier releases discard a record with an expiry without this entry.
#[tokio::test(flavor = "multi_thread")]
async fn entry_of_an_expiry_without_its_record_is_skipped() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let backend = connect(&cluster).await;
    let mut record = (*pair("amy")).clone();
    record.terms.set_expires_at(Some(UNIX_EPOCH + Duration::from_hours(500_000)));
    let record = Arc::new(record);
    insert(&backend, &record).await.unwrap();
    let marker = Order::ExpiresAt.marker(&record).unwrap();
    let key = |marker: &str| format!("tower-credentials/x{marker}");
    assert_eq!(cluster.get(&key(&marker)).as_deref(), Some(record.id.as_str()));
    for (time, id) in [("0000000000000000007", "gone"), ("1799999999999999999", "gone too")] {
        cluster.put(&key(&format!("{time}.{id}")), id);
    }
    // An expiry that the record had before.
    cluster.put(&key(&format!("0000000000000000009.{}", record.id.as_str())), record.id.as_str());
    for limit in [1, 2, 10] {
        let query = ListQuery::new(Order::ExpiresAt).with_limit(limit);
        let found = records::list_all(&backend, query).await;
        assert_eq!(found, [Arc::clone(&record)], "pages of {limit}");
    }

    // A damaged record is discarded with its entry.
    cluster.put(&format!("tower-credentials/r{}", record.id.as_str()), "{");
    assert!(backend.discard(&record.id).await.unwrap());
    assert_eq!(cluster.get(&key(&marker)), None);
    assert_eq!(backend.check_counters().await.unwrap().unwrap().wrong, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_keeps_counters_and_entries_right() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let (backend, other) = (connect(&cluster).await, connect(&cluster).await);
    let mut old = (*pair("amy")).clone();
    insert(&backend, &Arc::new(old.clone())).await.unwrap();
    for held in 2..10 {
        let (new, retired) = rotation(&old);
        let (new, retired) = (Arc::new(new), Arc::new(retired));
        // Each process has a counter that the other one has moved.
        let backend = if held % 2 == 0 { &other } else { &backend };
        let full = backend.rotate(&new, Quota::AtMost(held - 1), &retired, old.version).await;
        assert!(full.is_err());
        let rotated = backend.rotate(&new, Quota::AtMost(held), &retired, old.version).await;
        assert!(rotated.unwrap());
        assert!(!backend.rotate(&new, Quota::AtMost(0), &retired, old.version).await.unwrap());
        let page = backend.list(&ListQuery::new(Order::ExpiresAt)).await.unwrap();
        assert_eq!(page.credentials.len(), held as usize - 1);
        assert_eq!(backend.check_counters().await.unwrap().unwrap().wrong, 0);
        old = (*new).clone();
    }
    assert_eq!(backend.purge_user(&old.user_id).await.unwrap(), 9);
    let page = backend.list(&ListQuery::new(Order::ExpiresAt)).await.unwrap();
    assert!(page.credentials.is_empty() && page.next.is_none());
}

/// Earlier releases know two words for the status.
#[tokio::test(flavor = "multi_thread")]
async fn status_of_a_record_with_limits_is_unknown_to_earlier_releases() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let backend = connect(&cluster).await;
    for limit in ["expiry", "boundary", "none"] {
        let mut record = (*pair("amy")).clone();
        match limit {
            "expiry" => record.terms.set_expires_at(Some(UNIX_EPOCH)),
            "boundary" => record.terms.set_boundary(Some("{}".into())),
            _ => record.terms.set_name(Some("a name is not a limit".into())).unwrap(),
        }
        let record = Arc::new(record);
        insert(&backend, &record).await.unwrap();
        let key = format!("tower-credentials/r{}", record.id.as_str());
        let stored: serde_json::Value = serde_json::from_str(&cluster.get(&key).unwrap()).unwrap();
        let word = stored["status"].as_str().unwrap();
        assert_eq!(Status::from_word(word).is_some(), limit == "none", "{limit}: {word}");
        assert_eq!(backend.get(&record.id).await.unwrap(), Some(record));
    }
}
