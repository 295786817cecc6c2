//! Opening: new stores, existing stores, and errors.

use std::time::Duration;

use test_support::opening;
use tower_credentials::backend::{CredentialBackend, OpenErrorKind, etcd::EtcdBackend};

use crate::{cluster, connect, insert, pair};

#[tokio::test(flavor = "multi_thread")]
async fn store_of_a_later_release_is_rejected_and_unchanged() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let record = pair("bob");
    insert(&connect(&cluster).await, &record).await.unwrap();
    for (format, kind) in [("3", OpenErrorKind::Newer), ("rubbish", OpenErrorKind::Foreign)] {
        cluster.put("tower-credentials/v", format);
        let error = EtcdBackend::open(&cluster.url()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    cluster.put("tower-credentials/v", "2");
    let found = connect(&cluster).await.get(&record.id).await.unwrap();
    assert_eq!(found, Some(record));
}

#[tokio::test(flavor = "multi_thread")]
async fn mode_decides_whether_a_store_must_or_must_not_exist() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let url = cluster.url();
    let open = async |mode| EtcdBackend::builder(url.clone()).mode(mode).build().await;
    opening::mode_decides_whether_a_store_must_or_must_not_exist(open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_below_different_prefixes_are_independent() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let url = cluster.url();
    let one = EtcdBackend::open(&format!("{url}/one")).await.unwrap();
    let two = EtcdBackend::open(&format!("{url}/two/")).await.unwrap();
    let record = pair("bob");
    insert(&one, &record).await.unwrap();
    assert_eq!(two.get(&record.id).await.unwrap(), None);
    insert(&two, &record).await.unwrap();
    assert_eq!(one.purge_user(&record.user_id).await.unwrap(), 1);
    assert_eq!(two.get(&record.id).await.unwrap(), Some(record));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_opens_of_an_empty_store_all_succeed() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let url = cluster.url();
            tokio::spawn(async move { EtcdBackend::open(&url).await })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn missing_cluster_is_unavailable() {
    // The port was free a moment ago, so nothing listens on it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let builder = EtcdBackend::builder(format!("etcd://127.0.0.1:{port}"));
    let error = builder.timeout(Duration::from_millis(300)).build().await.unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Unavailable);
}
