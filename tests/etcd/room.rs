//! Full stores, and records that are too long.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use test_support::records::list_all;
use tower::{Layer as _, ServiceExt as _};
use tower_credentials::{
    CredentialLayer,
    auth::StaticTokens,
    backend::{
        BackendError, CredentialBackend,
        contract::{BulkLoad, Loaded, Maintenance},
        etcd::EtcdBackend,
    },
    domain::{Caller, ProjectId, Quota, Scope, UserId},
};

use crate::etcd::Cluster;
use crate::{cluster, connect, insert, long, pair, report};

#[tokio::test(flavor = "multi_thread")]
async fn store_rejects_inserts_before_etcd_is_full_and_accepts_them_after_compaction() {
    // A quota of 32 MiB, of which etcd itself needs a part.
    let Some(cluster) = cluster(1, &["--quota-backend-bytes", "33554432"]) else { return };
    let builder = EtcdBackend::builder(cluster.url());
    let backend = builder.max_size(16 << 20).build().await.unwrap();
    let error = fill(&backend).await;
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(report(&error).contains("the credential store is full"), "{}", report(&error));
    let record = pair("bob");
    let error = backend.load(std::slice::from_ref(&record)).await.unwrap_err();
    assert!(report(&error).contains("the credential store is full"), "{}", report(&error));
    assert!(!is_alarmed(&cluster), "etcd itself is full");

    let page = backend.list(&crate::paging::of_user("bob")).await.unwrap();
    let first = &page.credentials[0];
    assert!(backend.delete(&first.id, first.version).await.unwrap());
    assert!(backend.purge_user(&UserId::new("bob").unwrap()).await.unwrap() > 10);
    cluster.compact();
    cluster.defragment();
    insert(&backend, &record).await.unwrap();
    assert_eq!(backend.get(&record.id).await.unwrap(), Some(record));
}

#[tokio::test(flavor = "multi_thread")]
async fn error_of_a_full_etcd_says_that_the_store_is_full() {
    let Some(cluster) = cluster(1, &["--quota-backend-bytes", "4194304"]) else { return };
    let backend = connect(&cluster).await;
    let error = fill(&backend).await;
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(report(&error).contains("the credential store is full"), "{}", report(&error));
    assert!(is_alarmed(&cluster));
    // The store can still be opened and read.
    let backend = connect(&cluster).await;
    assert!(!backend.list(&crate::paging::of_user("bob")).await.unwrap().credentials.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn record_of_maximum_size_is_stored_and_a_longer_one_is_rejected() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let backend = connect(&cluster).await;
    let longest = long("bob", 1_495_000);
    insert(&backend, &longest).await.unwrap();
    assert_eq!(backend.get(&longest.id).await.unwrap(), Some(longest.clone()));

    let longer = long("bob", 1_500_000);
    let mut grown = (*longer).clone();
    grown.id = longest.id.clone();
    grown.access_key.clone_from(&longest.access_key);
    let refused = [
        insert(&backend, &longer).await,
        backend.update(&grown.into(), longest.version).await.map(drop),
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert!(matches!(error, BackendError::Unstorable(_)), "{error:?}");
        assert!(report(&error).contains("the record takes"), "{}", report(&error));
    }
    let records = [pair("eve"), longer, pair("eve")];
    let loaded = backend.load(&records).await.unwrap();
    assert_eq!(loaded, [Loaded::Stored, Loaded::Refused, Loaded::Stored]);

    // Many long records fit neither one answer nor one transaction.
    let many: Vec<_> = (0..20).map(|_| long("amy", 1_000_000)).collect();
    backend.load(&many).await.unwrap();
    backend.load(&many).await.unwrap();
    let found = list_all(&backend, crate::paging::of_user("amy")).await;
    assert_eq!(found.len(), many.len());
    assert_eq!(backend.purge_user(&UserId::new("amy").unwrap()).await.unwrap(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn lower_request_limit_of_etcd_rejects_only_records_that_are_too_long() {
    let Some(cluster) = cluster(1, &["--max-request-bytes", "300000"]) else { return };
    let backend = connect(&cluster).await;
    let records: Vec<_> =
        (0..20).map(|n| long("amy", if n == 7 { 400_000 } else { 40_000 })).collect();
    let mut expected = vec![Loaded::Stored; records.len()];
    expected[7] = Loaded::Refused;
    assert_eq!(backend.load(&records).await.unwrap(), expected);

    let mut inserts = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (backend, bytes) = (backend.clone(), if n == 7 { 400_000 } else { 40_000 });
        inserts.spawn(async move {
            let record = long("bob", bytes);
            (record.clone(), backend.insert(&record, Quota::AtMost(20)).await)
        });
    }
    let mut refused = 0;
    for (record, inserted) in inserts.join_all().await {
        match inserted {
            Ok(()) => assert_eq!(backend.get(&record.id).await.unwrap(), Some(record)),
            Err(BackendError::Unstorable(_)) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 1);
    let first = &records[0];
    let mut grown = (*long("amy", 400_000)).clone();
    grown.id = first.id.clone();
    grown.access_key.clone_from(&first.access_key);
    let error = backend.update(&grown.into(), first.version).await.unwrap_err();
    assert!(matches!(error, BackendError::Unstorable(_)), "{error:?}");
    assert_eq!(backend.check_counters().await.unwrap().unwrap().wrong, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_gets_400_without_retry_after_for_an_overlong_credential() {
    let Some(cluster) = cluster(1, &["--max-request-bytes", "16000"]) else { return };
    let scope = Scope::Project(ProjectId::new("demo").unwrap());
    let amy = Caller::new(UserId::new("amy").unwrap(), scope).with_roles(["key_management_user"]);
    let tokens = StaticTokens::new().with_token("token", "amy", amy);
    let layer = CredentialLayer::builder(tokens, connect(&cluster).await).build().unwrap();
    let app = layer.layer(axum::Router::new());
    for (length, expected) in [(1_000, StatusCode::CREATED), (20_000, StatusCode::BAD_REQUEST)] {
        let blob = "s3cr3t".repeat(length / 6);
        let body = json!({"credential": {"type": "cert", "user_id": "amy", "blob": blob}});
        let request = Request::post("/v3/credentials")
            .header("x-auth-token", "token")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let (status, retry) = (response.status(), response.headers().get("retry-after").cloned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!((status, retry), (expected, None), "{text}");
        if status == StatusCode::BAD_REQUEST {
            assert!(text.contains("too long for the store") && !text.contains("s3cr3t"), "{text}");
        }
    }
}

/// Inserts records until the store rejects one.
async fn fill(backend: &EtcdBackend) -> BackendError {
    for _ in 0..1_000 {
        if let Err(error) = insert(backend, &long("bob", 100_000)).await {
            return error;
        }
    }
    panic!("the store is never full");
}

/// Whether etcd has reached its quota.
fn is_alarmed(cluster: &Cluster) -> bool {
    let alarms = cluster.call(0, "/v3/maintenance/alarm", &json!({"action": "GET"})).unwrap();
    alarms.to_string().contains("NOSPACE")
}
