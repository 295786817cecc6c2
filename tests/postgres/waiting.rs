//! The number of reads that wait for a slow server is bounded.

use std::{error::Error as _, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order, postgres::PostgresBackend},
    domain::CredentialId,
};

use crate::lab;

/// How many lookups one connection carries.
const AT_ONCE: usize = 256;

/// Whether a read failed because too many are waiting.
fn is_crowded<T: std::fmt::Debug>(result: &Result<T, BackendError>) -> bool {
    let Err(error @ BackendError::Unavailable(_)) = result else { panic!("{result:?}") };
    error.source().unwrap().to_string().contains("too many reads")
}

/// A backend with one connection for reads and a statement timeout of one second.
async fn backend(server: &lab::Server) -> PostgresBackend {
    let builder = PostgresBackend::builder(server.database().await).readers(1);
    let backend = builder.statement_timeout(Duration::from_secs(1)).build().await.unwrap();
    assert_eq!(backend.get(&CredentialId::from_stored("x")).await.unwrap(), None);
    backend
}

async fn until_read(backend: &PostgresBackend) {
    let read = async {
        while backend.get(&CredentialId::from_stored("x")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), read).await.expect("the backend recovers");
}

#[tokio::test(flavor = "multi_thread")]
async fn number_of_concurrent_reads_is_bounded() {
    let Some(server) = lab::Server::start(&["fsync = off"]) else { return };
    let backend = backend(&server).await;
    server.pause(true);
    let mut reads = JoinSet::new();
    for n in 0..3_000 {
        let backend = backend.clone();
        reads.spawn(async move { backend.get(&CredentialId::from_stored(n.to_string())).await });
    }
    let results = reads.join_all().await;
    let crowded = results.iter().filter(|result| is_crowded(result)).count();
    // Reads that were sent and failed freed permits once or twice at most.
    assert!((1_000..=3_000 - AT_ONCE).contains(&crowded), "{crowded} of 3000 were not sent");
    server.pause(false);
    until_read(&backend).await;
    // All succeed in turn.
    let mut reads = JoinSet::new();
    for n in 0..1_000 {
        let backend = backend.clone();
        reads.spawn(async move { backend.get(&CredentialId::from_stored(n.to_string())).await });
    }
    assert!(reads.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn canceled_reads_count_until_the_server_answers() {
    let Some(server) = lab::Server::start(&["fsync = off"]) else { return };
    let backend = backend(&server).await;
    server.pause(true);
    // A list counts as several lookups.
    for _ in 0..AT_ONCE / 16 {
        let given_up = timeout(Duration::from_millis(1), {
            let backend = backend.clone();
            async move { backend.list(&ListQuery::new(Order::Key)).await }
        });
        assert!(given_up.await.is_err());
    }
    let result = backend.get(&CredentialId::from_stored("x")).await;
    assert!(is_crowded(&result), "{result:?}");
    server.pause(false);
    until_read(&backend).await;
}
