//! Clusters with authentication.

use std::time::Duration;

use serde_json::json;
use tower_credentials::backend::{CredentialBackend, OpenErrorKind, etcd::EtcdBackend};

use crate::etcd::{Cluster, base64};
use crate::{cluster, insert, pair, report};

const PASSWORD: &str = "amy's s3cr3t@/1:x";

/// A cluster in which amy may use the prefix of the store, and bob nothing.
fn guarded(arguments: &[&str]) -> Option<Cluster> {
    let cluster = cluster(1, arguments)?;
    let call = |path: &str, question| cluster.call(0, path, &question).unwrap();
    let permission = json!({
        "permType": "READWRITE",
        "key": base64("tower-credentials/"),
        "range_end": base64("tower-credentials0"),
    });
    call("/v3/auth/role/add", json!({"name": "root"}));
    call("/v3/auth/role/add", json!({"name": "credentials"}));
    call("/v3/auth/role/grant", json!({"name": "credentials", "perm": permission}));
    for (name, role) in [("root", "root"), ("amy", "credentials"), ("bob", "none")] {
        call("/v3/auth/user/add", json!({"name": name, "password": PASSWORD}));
        if role != "none" {
            call("/v3/auth/user/grant", json!({"user": name, "role": role}));
        }
    }
    call("/v3/auth/enable", json!({}));
    Some(cluster)
}

fn url(cluster: &Cluster, login: &str) -> String {
    cluster.url().replace("://", &format!("://{login}@"))
}

/// The password in its percent-encoded form.
const IN_URL: &str = "amy's%20s3cr3t%40%2F1%3Ax";

#[tokio::test(flavor = "multi_thread")]
async fn wrong_login_is_reported_without_the_password() {
    let Some(cluster) = guarded(&[]) else { return };
    insert(
        &EtcdBackend::open(&url(&cluster, &format!("amy:{IN_URL}"))).await.unwrap(),
        &pair("bob"),
    )
    .await
    .unwrap();
    let wrong = [
        url(&cluster, &format!("amy:not-{IN_URL}")),
        url(&cluster, &format!("nobody:{IN_URL}")),
        url(&cluster, &format!("bob:{IN_URL}")),
        cluster.url(),
    ];
    for url in wrong {
        let builder = EtcdBackend::builder(&url);
        assert!(!format!("{builder:?}").contains("s3cr3t"), "{builder:?}");
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::PermissionDenied, "{}", report(&error));
        let said = format!("{} {error:?}", report(&error));
        assert!(!said.contains("s3cr3t"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_token_is_renewed_transparently() {
    let Some(mut cluster) = guarded(&["--auth-token-ttl", "1"]) else { return };
    let backend = EtcdBackend::open(&url(&cluster, &format!("amy:{IN_URL}"))).await.unwrap();
    let mut stored = Vec::new();
    for round in 0..4 {
        let record = pair("bob");
        insert(&backend, &record).await.unwrap();
        stored.push(record);
        if round == 1 {
            // Members do not persist tokens.
            cluster.kill(0);
            cluster.restart(0);
            cluster.wait_for_leader();
        } else {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
        }
        // Many concurrent calls find out at the same time.
        let reads: Vec<_> = (0..16)
            .map(|_| {
                let (backend, id) = (backend.clone(), stored[0].id.clone());
                tokio::spawn(async move { backend.get(&id).await })
            })
            .collect();
        for read in reads {
            assert_eq!(read.await.unwrap().unwrap().as_ref(), Some(&stored[0]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_login_makes_the_store_unavailable() {
    let Some(cluster) = guarded(&[]) else { return };
    let backend = EtcdBackend::open(&url(&cluster, &format!("amy:{IN_URL}"))).await.unwrap();
    let record = pair("bob");
    insert(&backend, &record).await.unwrap();
    let root = json!({"name": "root", "password": PASSWORD});
    let token = cluster.call(0, "/v3/auth/authenticate", &root).unwrap();
    let token = token["token"].as_str().unwrap();
    let user = json!({"name": "amy", "role": "credentials"});
    cluster.call_as(token, 0, "/v3/auth/user/revoke", &user).unwrap();
    for error in [
        backend.get(&record.id).await.unwrap_err(),
        insert(&backend, &pair("bob")).await.unwrap_err(),
    ] {
        assert!(report(&error).contains("permission denied"), "{}", report(&error));
    }
    let user = json!({"user": "amy", "role": "credentials"});
    cluster.call_as(token, 0, "/v3/auth/user/grant", &user).unwrap();
    assert_eq!(backend.get(&record.id).await.unwrap(), Some(record));
}
