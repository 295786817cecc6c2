//! A sealed store during outages of its server.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend,
        encrypted::{Encrypted, KeyRing},
        postgres::PostgresBackend,
    },
    domain::Quota,
};

use crate::{
    lab,
    load::{self, QUOTA, audit, pair},
};

#[tokio::test(flavor = "multi_thread")]
async fn sealed_writes_fail_in_time_during_an_outage_and_resume_after_it() {
    let Some(mut server) = lab::Server::start(&["fsync = off"]) else { return };
    let second = Duration::from_secs(1);
    let builder = PostgresBackend::builder(server.database().await);
    let builder = builder.connect_timeout(second).statement_timeout(second);
    let ring = KeyRing::new("first", &[7; 32]).unwrap();
    let sealed = Encrypted::open(builder.build().await.unwrap(), ring).await.unwrap();
    let load = load::start(&sealed, 32, Quota::AtMost(QUOTA));
    let mut longest = Duration::ZERO;
    for _ in 0..2 {
        load.progress(300).await;
        server.kill();
        longest = longest.max(refused(&sealed).await);
        server.restart();
        load.progress(300).await;
        server.pause(true);
        longest = longest.max(refused(&sealed).await);
        server.pause(false);
    }
    load.progress(300).await;
    eprintln!("sealed store: 100 concurrent writes failed after at most {longest:.2?}");
    // One second to connect, one for the statement, two of grace, and the same for the lookup
    // that follows a write.
    assert!(longest < Duration::from_secs(8), "{longest:?}");
    audit("a sealed store killed twice and frozen twice", &sealed, load).await;
}

/// Runs many concurrent writes, which must all fail. Returns how long they take.
async fn refused(sealed: &Encrypted<PostgresBackend>) -> Duration {
    let began = Instant::now();
    let mut writing = JoinSet::new();
    for _ in 0..100 {
        let (sealed, record) = (sealed.clone(), pair("amy"));
        writing.spawn(async move { sealed.insert(&record, Quota::Unlimited).await });
    }
    for result in writing.join_all().await {
        assert!(matches!(result, Err(BackendError::Unavailable(_))), "{result:?}");
    }
    began.elapsed()
}
