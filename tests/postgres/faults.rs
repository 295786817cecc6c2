//! Calls while the server is full, slow or down.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_postgres::NoTls;
use tower_credentials::{
    backend::{BackendError, CredentialBackend, postgres::PostgresBackend},
    domain::{CredentialId, Quota},
    usage::UsageLog,
};

use crate::{
    lab,
    load::{self, QUOTA, audit, held, missing, pair},
};

pub(crate) async fn until_written(backend: &PostgresBackend) {
    let written = async {
        while backend.insert(&pair("amy"), Quota::Unlimited).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while backend.get(&CredentialId::from_stored("x")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), written).await.expect("the backend recovers");
}

pub(crate) fn unavailable<T: std::fmt::Debug>(result: &Result<T, BackendError>) {
    assert!(matches!(result, Err(BackendError::Unavailable(_))), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_free_connections_is_unavailable_until_it_has_some() {
    let settings = ["fsync = off", "max_connections = 12", "superuser_reserved_connections = 0"];
    let Some(server) = lab::Server::start(&settings) else { return };
    let url = server.database().await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    until_written(&backend).await;

    let first = lab::connect(&url).await;
    let others_only = "SELECT count(*) = 12 AND bool_and(application_name <> 'tower-credentials')
        FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let mut others = Vec::new();
    // The test and the backend compete for free connections.
    while !first.query_one(others_only, &[]).await.unwrap().get::<_, bool>(0) {
        lab::end_sessions(&first, "tower-credentials").await;
        while let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await {
            tokio::spawn(connection);
            others.push(client);
        }
    }
    let began = Instant::now();
    unavailable(&backend.insert(&pair("amy"), Quota::Unlimited).await);
    unavailable(&backend.get(&CredentialId::from_stored("x")).await);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let error = PostgresBackend::open(&url).await.unwrap_err();
    assert_eq!(error.kind(), tower_credentials::backend::OpenErrorKind::Unavailable);

    drop(others);
    until_written(&backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_a_suspended_server_time_out_and_succeed_afterwards() {
    let Some(server) = lab::Server::start(&["fsync = off"]) else { return };
    let builder = PostgresBackend::builder(server.database().await);
    let builder = builder.statement_timeout(Duration::from_secs(1));
    let backend = builder.connect_timeout(Duration::from_secs(1)).build().await.unwrap();
    until_written(&backend).await;
    server.pause(true);
    let began = Instant::now();
    let record = pair("amy");
    let uses = [(record.id.clone(), record.created_at)];
    let (written, read, noted) = tokio::join!(
        backend.insert(&record, Quota::AtMost(1_000)),
        backend.get(&record.id),
        backend.record(&uses),
    );
    unavailable(&written);
    unavailable(&read);
    noted.unwrap_err();
    // One second for the statement, one of grace, and some time to notice.
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    server.pause(false);
    until_written(&backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_for_a_lock_time_out_and_reads_succeed() {
    let Some(url) = lab::database().await else { return };
    let builder = PostgresBackend::builder(&url).statement_timeout(Duration::from_millis(500));
    let backend = builder.build().await.unwrap();
    let (old, new) = (pair("amy"), pair("amy"));
    backend.insert(&old, Quota::Unlimited).await.unwrap();
    let mut other = lab::connect(&url).await;
    let transaction = other.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE credentials IN EXCLUSIVE MODE").await.unwrap();
    let began = Instant::now();
    unavailable(&backend.insert(&new, Quota::Unlimited).await);
    unavailable(&backend.delete(&old.id, old.version).await);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(backend.get(&old.id).await.unwrap().is_some());
    transaction.rollback().await.unwrap();
    // The server's timeout was shorter than ours, so nothing was written.
    assert!(backend.get(&new.id).await.unwrap().is_none());
    backend.insert(&new, Quota::Unlimited).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_of_the_server_loses_nothing_and_the_backend_reconnects() {
    let Some(mut server) = lab::Server::start(&[]) else { return };
    let backend = PostgresBackend::open(server.database().await).await.unwrap();
    let load = load::start(&backend, 16, Quota::Unlimited);
    load.progress(300).await;
    server.stop();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.restart();
    load.progress(300).await;
    let done = load.stop("a restart", &backend).await;
    assert!(done.silence < Duration::from_secs(15), "{:?}", done.silence);
}

/// Even if the server is configured not to wait for its disk.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_inserts_survive_a_kill_of_the_server() {
    let Some(mut server) = lab::Server::start(&["synchronous_commit = off"]) else { return };
    let backend = PostgresBackend::open(server.database().await).await.unwrap();
    let load = load::start(&backend, 32, Quota::AtMost(QUOTA));
    for _ in 0..3 {
        load.progress(300).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.restart();
    }
    load.progress(300).await;
    audit("three kills", &backend, load).await;
}

/// The sessions are terminated again and again during inserts. No insert may conflict with
/// itself.
#[tokio::test(flavor = "multi_thread")]
async fn inserts_whose_session_is_terminated_do_not_conflict_with_themselves() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    let client = lab::connect(&url).await;
    for quota in [Quota::Unlimited, Quota::AtMost(100_000)] {
        let load = load::start(&backend, 16, quota);
        for _ in 0..25 {
            load.progress(20).await;
            lab::end_sessions(&client, "tower-credentials").await;
        }
        // A conflict would end the load with a panic.
        load.stop("twenty-five ended sessions", &backend).await;
    }
}

/// The session is terminated between the commit and its answer. The backend looks the insert up,
/// finds it, and acknowledges it.
#[tokio::test(flavor = "multi_thread")]
async fn insert_whose_answer_was_lost_finds_its_own_record() {
    let Some(server) = lab::Server::start(&["fsync = off"]) else { return };
    let url = server.database().await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    let client = lab::connect(&url).await;
    for quota in [Quota::Unlimited, Quota::AtMost(1)] {
        // Commits are written locally and then wait for a standby that does not exist.
        let wait = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'";
        client.batch_execute(wait).await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let mut tries = 0;
        // The new setting takes effect after a moment.
        let (record, inserting) = loop {
            tries += 1;
            let record = pair(&format!("user {quota:?} {tries}"));
            let inserting = {
                let (backend, record) = (backend.clone(), record.clone());
                tokio::spawn(async move { backend.insert(&record, quota).await })
            };
            while !inserting.is_finished() && !lab::is_waiting(&client, "SyncRep").await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if !inserting.is_finished() {
                break (record, inserting);
            }
        };
        lab::end_sessions(&client, "tower-credentials").await;
        // The record is visible, and would be lost with this server.
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(missing(&backend, std::slice::from_ref(&record)).await, 0);
        assert!(!inserting.is_finished(), "acknowledged without the standby");
        client.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        inserting.await.unwrap().unwrap();
        assert_eq!(held(&backend, record.user_id.as_str()).await, 1);
        assert_eq!(missing(&backend, &[record]).await, 0);
    }
}
