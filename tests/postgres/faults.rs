//! What calls do while the server is full, slow, or gone.

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
    load::{Load, QUOTA, audit, held, missing, pair, report},
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
    timeout(Duration::from_secs(20), written).await.expect("it recovers by itself");
}

pub(crate) fn unavailable<T: std::fmt::Debug>(result: &Result<T, BackendError>) {
    assert!(matches!(result, Err(BackendError::Unavailable(_))), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_more_connections_is_unavailable_until_it_does() {
    let settings = ["fsync = off", "max_connections = 12", "superuser_reserved_connections = 0"];
    let Some(server) = lab::Server::start(&settings) else { return };
    let url = server.database().await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    until_written(&backend).await;

    let first = lab::connect(&url).await;
    let others_only = "SELECT count(*) = 12 AND bool_and(application_name <> 'tower-credentials')
        FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let mut others = Vec::new();
    // Whoever is quicker gets the places that are free again.
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
async fn calls_to_a_server_that_stands_still_end_in_time_and_go_on_afterwards() {
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
        backend.note(&uses),
    );
    unavailable(&written);
    unavailable(&read);
    noted.unwrap_err();
    // A statement's second, another of grace, and what it takes to notice.
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    server.pause(false);
    until_written(&backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_for_a_lock_end_in_time_and_reads_go_on() {
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
    // The server gave up before we did, so that nothing of it happened.
    assert!(backend.get(&new.id).await.unwrap().is_none());
    backend.insert(&new, Quota::Unlimited).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_good_order_loses_nothing_and_the_backend_reconnects() {
    let Some(mut server) = lab::Server::start(&[]) else { return };
    let backend = PostgresBackend::open(server.database().await).await.unwrap();
    let load = Load::start(&backend, 16, Quota::Unlimited);
    load.progress(300).await;
    server.stop();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.restart();
    load.progress(300).await;
    let done = load.stop().await;
    let lost = missing(&backend, &done.acknowledged).await;
    report("a restart", &done, lost);
    assert_eq!(lost, 0);
    assert!(done.longest < Duration::from_secs(15), "{:?}", done.longest);
}

/// Even where the server is set to answer before its disk does.
#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_create_is_there_after_the_server_is_killed() {
    let Some(mut server) = lab::Server::start(&["synchronous_commit = off"]) else { return };
    let backend = PostgresBackend::open(server.database().await).await.unwrap();
    let load = Load::start(&backend, 32, Quota::AtMost(QUOTA));
    for _ in 0..3 {
        load.progress(300).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.restart();
    }
    load.progress(300).await;
    audit("three kills", &backend, load).await;
}

/// The sessions are ended again and again while creates are under way: each is
/// acknowledged or refused for what it is, never refused as its own duplicate.
#[tokio::test(flavor = "multi_thread")]
async fn creates_whose_session_is_ended_are_not_taken_for_duplicates_of_themselves() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    let client = lab::connect(&url).await;
    for quota in [Quota::Unlimited, Quota::AtMost(100_000)] {
        let load = Load::start(&backend, 16, quota);
        for _ in 0..25 {
            load.progress(20).await;
            lab::end_sessions(&client, "tower-credentials").await;
        }
        // A duplicate of itself would be an error that ends the load.
        let done = load.stop().await;
        let lost = missing(&backend, &done.acknowledged).await;
        report("twenty-five ended sessions", &done, lost);
        assert_eq!(lost, 0);
    }
}

/// The session ends between the commit and its answer: the create is made again, finds
/// itself there, and is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_was_committed_unheard_recognises_itself() {
    let Some(server) = lab::Server::start(&["fsync = off"]) else { return };
    let url = server.database().await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    let client = lab::connect(&url).await;
    for quota in [Quota::Unlimited, Quota::AtMost(1)] {
        // Commits are done here, and then wait for a standby that there is not.
        let wait = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'";
        client.batch_execute(wait).await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let mut tries = 0;
        // It takes a moment until they do.
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
        // It is there for all to see, and would be lost with this server.
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
