//! A row that another session has locked does not block other writes.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, postgres::PostgresBackend},
    domain::{Credential, Quota},
};

use crate::{lab, load::pair};

/// A backend with a statement timeout of two seconds, and so a lock timeout of one.
async fn backend(url: &str) -> PostgresBackend {
    let builder = PostgresBackend::builder(url).writers(1);
    builder.statement_timeout(Duration::from_secs(2)).build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn update_of_a_locked_row_fails_alone() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let backend = backend(&url).await;
    let records: Vec<Arc<Credential>> = (0..100).map(|_| pair("amy")).collect();
    for record in &records {
        backend.insert(record, Quota::Unlimited).await.unwrap();
    }
    let mut other = lab::connect(&url).await;
    let transaction = other.transaction().await.unwrap();
    let held = [&records[17].id, &records[63].id];
    for id in held {
        let lock = "SELECT 1 FROM credentials WHERE id = $1 FOR UPDATE";
        transaction.query_one(lock, &[&id.as_str()]).await.unwrap();
    }
    let began = Instant::now();
    let mut updates = JoinSet::new();
    for record in records.clone() {
        let backend = backend.clone();
        updates.spawn(async move {
            let next = (*record).clone().touched(record.updated_at);
            (record.id.clone(), backend.update(&next.into(), record.version).await)
        });
    }
    for (id, updated) in updates.join_all().await {
        if held.contains(&&id) {
            assert!(matches!(updated, Err(BackendError::Unavailable(_))), "{updated:?}");
        } else {
            assert!(updated.unwrap(), "{id:?}");
        }
    }
    eprintln!("98 of 100 updates succeeded beside two locked rows after {:?}", began.elapsed());
    transaction.rollback().await.unwrap();
    let id = held[0];
    let current = backend.get(id).await.unwrap().unwrap();
    assert!(backend.delete(id, current.version).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn insert_of_a_locked_user_does_not_block_other_users() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let backend = backend(&url).await;
    backend.insert(&pair("amy"), Quota::AtMost(50)).await.unwrap();
    let mut other = lab::connect(&url).await;
    let transaction = other.transaction().await.unwrap();
    let lock = "SELECT 1 FROM credential_owners WHERE user_id = 'amy' FOR UPDATE";
    transaction.query_one(lock, &[]).await.unwrap();
    let mut inserts = JoinSet::new();
    for n in 0..100 {
        let user = if n % 5 == 0 { "amy".to_owned() } else { format!("user {n}") };
        let backend = backend.clone();
        inserts.spawn(async move {
            let inserted = backend.insert(&pair(&user), Quota::AtMost(50)).await;
            (user, inserted)
        });
    }
    for (user, inserted) in inserts.join_all().await {
        if user == "amy" {
            assert!(matches!(inserted, Err(BackendError::Unavailable(_))), "{inserted:?}");
        } else {
            inserted.unwrap();
        }
    }
    transaction.rollback().await.unwrap();
    assert_eq!(crate::load::held(&backend, "amy").await, 1);
    backend.insert(&pair("amy"), Quota::AtMost(50)).await.unwrap();
}

/// The lock timeout of a purge and a load is as long as their statement timeout.
#[tokio::test(flavor = "multi_thread")]
async fn purge_waits_longer_for_a_locked_row() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let backend = backend(&url).await;
    let record = pair("amy");
    backend.insert(&record, Quota::Unlimited).await.unwrap();
    let mut other = lab::connect(&url).await;
    let transaction = other.transaction().await.unwrap();
    let lock = "SELECT 1 FROM credentials WHERE id = $1 FOR UPDATE";
    transaction.query_one(lock, &[&record.id.as_str()]).await.unwrap();
    let purging = {
        let (backend, user) = (backend.clone(), record.user_id.clone());
        tokio::spawn(async move { backend.purge_user(&user).await })
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    transaction.rollback().await.unwrap();
    assert_eq!(purging.await.unwrap().unwrap(), 1);
}

/// The answers to inserts are lost, and their rows are locked when the backend looks them up.
/// The outcome is unknown: the inserts are not repeated, and do not report a conflict.
#[tokio::test(flavor = "multi_thread")]
async fn inserts_with_unknown_outcome_do_not_conflict_with_themselves() {
    let Some(server) = lab::Server::start(&["fsync = off"]) else { return };
    let url = server.database().await;
    let backend = backend(&url).await;
    backend.insert(&pair("amy"), Quota::AtMost(5)).await.unwrap();
    let (client, mut other) = (lab::connect(&url).await, lab::connect(&url).await);

    // The others wait until the first insert fails, and are then one batch.
    let transaction = other.transaction().await.unwrap();
    let lock = "SELECT 1 FROM credential_owners WHERE user_id = 'amy' FOR UPDATE";
    transaction.query_one(lock, &[]).await.unwrap();
    let insert = |user: &str| {
        let (backend, record) = (backend.clone(), pair(user));
        (
            record.clone(),
            tokio::spawn(async move { backend.insert(&record, Quota::AtMost(5)).await }),
        )
    };
    let (_, first) = insert("amy");
    lab::until_blocked(&client).await;
    let (records, inserting): (Vec<_>, Vec<_>) = (0..4).map(|_| insert("bob")).unzip();
    // Commits are written locally and then wait for a standby that does not exist.
    let wait = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'";
    client.batch_execute(wait).await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    assert!(matches!(first.await.unwrap(), Err(BackendError::Unavailable(_))));
    while !lab::is_waiting(&client, "SyncRep").await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    transaction.rollback().await.unwrap();

    lab::end_sessions(&client, "tower-credentials").await;
    let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let transaction = other.transaction().await.unwrap();
    let lock = "SELECT id FROM credentials WHERE id = ANY($1) FOR UPDATE";
    while transaction.query(lock, &[&ids]).await.unwrap().len() < records.len() {}
    client.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    for inserting in inserting {
        let inserted = inserting.await.unwrap();
        assert!(matches!(inserted, Err(BackendError::Unavailable(_))), "{inserted:?}");
    }
    transaction.rollback().await.unwrap();
    assert_eq!(crate::load::missing(&backend, &records).await, 0);
    assert_eq!(crate::load::held(&backend, "bob").await, records.len());
}
