//! Transactions that conflict are retried.

use std::sync::Arc;

use tokio::task::JoinSet;
use tower_credentials::{
    backend::{BackendError, CredentialBackend, postgres::PostgresBackend},
    domain::Quota,
};

use crate::{
    lab,
    load::{held, pair},
};

/// A database whose transactions are serializable by default.
async fn serializable(server: &lab::Server) -> (String, String) {
    let url = server.database().await;
    let client = lab::connect(&url).await;
    let name: String = client.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
    let set = format!("ALTER DATABASE {name} SET default_transaction_isolation = serializable");
    client.batch_execute(&set).await.unwrap();
    (url, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn serialization_failure_is_retried() {
    let Some(server) = lab::shared() else { return };
    let (url, name) = serializable(server).await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    backend.insert(&pair("amy"), Quota::AtMost(3)).await.unwrap();
    let mut other = lab::connect(&url).await;
    let transaction = other.transaction().await.unwrap();
    let touch = "UPDATE credential_owners SET user_id = user_id";
    transaction.batch_execute(touch).await.unwrap();
    let inserting = {
        let backend = backend.clone();
        tokio::spawn(async move { backend.insert(&pair("amy"), Quota::AtMost(3)).await })
    };
    lab::until_blocked(&lab::connect(&url).await).await;
    // The row that the insert waits for has changed since its transaction began.
    transaction.commit().await.unwrap();
    inserting.await.unwrap().unwrap();
    assert_eq!(held(&backend, "amy").await, 2);
    let failures = server.said(&format!("{name}: ERROR:  could not serialize access"));
    assert!(failures > 0, "no transaction failed");
}

/// Two backends, as in two processes, fill the same users' quotas.
#[tokio::test(flavor = "multi_thread")]
async fn quotas_hold_across_processes_with_serializable_transactions() {
    const QUOTA: u32 = 10;
    let Some(server) = lab::shared() else { return };
    let (url, _) = serializable(server).await;
    let backends =
        [PostgresBackend::open(&url).await.unwrap(), PostgresBackend::open(&url).await.unwrap()];
    let mut writers = JoinSet::new();
    for user in 0..10 {
        for backend in &backends {
            let backend = backend.clone();
            writers.spawn(async move {
                let (mut stored, mut full) = (0, 0);
                for _ in 0..QUOTA {
                    let record = pair(&format!("user {user}"));
                    match backend.insert(&record, Quota::AtMost(QUOTA)).await {
                        Ok(()) => stored += 1,
                        Err(BackendError::QuotaExceeded) => full += 1,
                        Err(other) => panic!("{other:?}"),
                    }
                }
                (stored, full)
            });
        }
    }
    let (mut stored, mut full) = (0, 0);
    while let Some(writer) = writers.join_next().await {
        let writer = writer.unwrap();
        (stored, full) = (stored + writer.0, full + writer.1);
    }
    assert_eq!((stored, full), (QUOTA * 10, QUOTA * 10));
    for user in 0..10 {
        assert_eq!(held(&backends[0], &format!("user {user}")).await, QUOTA as usize);
    }
}

/// An older transaction locks a row that the batch has yet to write, and waits for a row that
/// the batch has written. The server aborts one of them.
#[tokio::test(flavor = "multi_thread")]
async fn deadlock_is_retried() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    let mut records = [(*pair("amy")).clone(), (*pair("amy")).clone()];
    records.sort_by(|a, b| a.id.cmp(&b.id));
    for record in &records {
        backend.insert(&record.clone().into(), Quota::Unlimited).await.unwrap();
    }
    let mut other = lab::connect(&url).await;
    // The backend's transaction must be the one that detects the deadlock.
    other.batch_execute("SET deadlock_timeout = '30s'").await.unwrap();
    let transaction = other.transaction().await.unwrap();
    let touch = "UPDATE credentials SET last_used = 1 WHERE id = $1";
    transaction.execute(touch, &[&records[1].id.as_str()]).await.unwrap();

    // Uses of several keys are recorded in one statement, in the order of their ids.
    let uses: Vec<_> =
        records.iter().map(|record| (record.id.clone(), record.created_at)).collect();
    let noting = {
        let backend = backend.clone();
        tokio::spawn(
            async move { tower_credentials::usage::UsageLog::record(&backend, &uses).await },
        )
    };
    lab::until_blocked(&lab::connect(&url).await).await;
    let first = records[0].id.as_str();
    transaction.execute(touch, &[&first]).await.unwrap();
    transaction.commit().await.unwrap();
    noting.await.unwrap().unwrap();
    let found = backend.get(&records[0].id).await.unwrap();
    assert_eq!(found, Some(Arc::new(records[0].clone())));
}
