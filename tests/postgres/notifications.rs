//! The change feed: writes of other processes, and what ends a subscription.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend,
        contract::{Change, ChangeFeed, Changes},
        postgres::PostgresBackend,
    },
    domain::Quota,
};

use crate::{lab, load::pair};

async fn until_failed(changes: &mut Box<dyn Changes>) -> BackendError {
    let failed = async {
        loop {
            if let Err(error) = changes.next().await {
                return error;
            }
        }
    };
    timeout(Duration::from_secs(10), failed).await.expect("a lost feed fails")
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_another_process_are_reported_within_one_second() {
    let Some(url) = lab::database().await else { return };
    let here = PostgresBackend::open(&url).await.unwrap();
    let there = PostgresBackend::open(&url).await.unwrap();
    let mut changes = here.subscribe().await.unwrap();
    for _ in 0..20 {
        let record = pair("amy");
        there.insert(&record, Quota::Unlimited).await.unwrap();
        there.delete(&record.id, record.version).await.unwrap();
        let revoked = Instant::now();
        let gone = Change::deleted(record.id.clone());
        while !changes.next().await.unwrap().changes.contains(&gone) {}
        assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_in_one_database_do_not_report_each_others_changes() {
    let Some(url) = lab::database().await else { return };
    let client = lab::connect(&url).await;
    client.batch_execute("CREATE SCHEMA other").await.unwrap();
    let other = format!("{url}&options=-c%20search_path%3Dother");
    let (here, there) =
        (PostgresBackend::open(&url).await.unwrap(), PostgresBackend::open(&other).await.unwrap());
    let mut changes = here.subscribe().await.unwrap();
    let record = pair("amy");
    there.insert(&record, Quota::Unlimited).await.unwrap();
    assert!(here.get(&record.id).await.unwrap().is_none());
    assert!(changes.next().await.unwrap().changes.is_empty());
    here.insert(&record, Quota::Unlimited).await.unwrap();
    assert_eq!(changes.next().await.unwrap().changes, [Change::written(&record)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_fails_when_its_session_is_terminated() {
    let Some(url) = lab::database().await else { return };
    let backend = PostgresBackend::open(&url).await.unwrap();
    let mut changes = backend.subscribe().await.unwrap();
    assert!(changes.next().await.unwrap().is_complete);
    lab::end_sessions(&lab::connect(&url).await, "tower-credentials").await;
    let error = until_failed(&mut changes).await;
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    // A new subscription works.
    let mut changes = backend.subscribe().await.unwrap();
    assert!(changes.next().await.unwrap().is_complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_of_a_suspended_server_fails() {
    let Some(server) = lab::Server::start(&["fsync = off"]) else { return };
    let backend = PostgresBackend::open(server.database().await).await.unwrap();
    let mut changes = backend.subscribe().await.unwrap();
    assert!(changes.next().await.unwrap().is_complete);
    server.pause(true);
    let began = Instant::now();
    let error = until_failed(&mut changes).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    server.pause(false);
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_notifications_stores_records_but_has_no_feed() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let client = lab::connect(&url).await;
    // Behaves as an engine without notifications.
    let lack = "REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC;
        CREATE ROLE deaf LOGIN PASSWORD 'deaf';
        GRANT ALL ON SCHEMA public TO deaf";
    client.batch_execute(lack).await.unwrap();
    let url = url.replace(lab::USER, "deaf").replace(lab::PASSWORD, "deaf");
    let backend = PostgresBackend::open(url).await.unwrap();
    let (first, second) = (pair("amy"), pair("amy"));
    backend.insert(&first, Quota::Unlimited).await.unwrap();
    backend.insert(&second, Quota::AtMost(2)).await.unwrap();
    let next = (*first).clone().touched(first.updated_at);
    assert!(backend.update(&next.clone().into(), first.version).await.unwrap());
    assert!(backend.delete(&next.id, next.version).await.unwrap());
    assert_eq!(backend.purge_user(&second.user_id).await.unwrap(), 1);
    let error = backend.subscribe().await.unwrap_err();
    let BackendError::Unavailable(error) = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("does not send notifications"), "{error}");
}
