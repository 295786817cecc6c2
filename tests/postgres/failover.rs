//! Failures of a primary or its standby.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tower_credentials::{
    backend::{
        CredentialBackend, OpenErrorKind,
        contract::ChangeFeed,
        postgres::{PostgresBackend, PostgresBuilder},
    },
    domain::Quota,
};

use crate::{
    faults::{unavailable, until_written},
    lab,
    load::{self, QUOTA, audit, held, missing, pair},
};

/// Two servers. The second is a synchronous standby of the first, so that it has everything that
/// was acknowledged.
struct Two {
    first: lab::Server,
    second: lab::Server,
    /// The URL of the first server alone.
    url: String,
}

impl Two {
    async fn start() -> Option<Self> {
        // A killed process loses nothing that it has written to the operating system, so the
        // tests need no fsync.
        let settings = ["fsync = off", "wal_log_hints = on", "wal_keep_size = 256MB"];
        let first = lab::Server::start(&settings)?;
        let url = first.database().await;
        let second = first.standby("second", &["hot_standby = on"]);
        first.commit_with("second").await;
        Some(Self { first, second, url })
    }

    /// A builder with a URL that names both servers.
    fn builder(&self) -> PostgresBuilder {
        let port = format!(":{}/", self.first.port());
        let both = format!(":{},127.0.0.1:{}/", self.first.port(), self.second.port());
        let builder = PostgresBackend::builder(self.url.replace(&port, &both));
        builder.connect_timeout(Duration::from_secs(2))
    }

    /// The URL of the second server alone.
    fn url_of_second(&self) -> String {
        let [first, second] = [&self.first, &self.second].map(|it| format!(":{}/", it.port()));
        self.url.replace(&first, &second)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promoted_standby_has_every_acknowledged_insert() {
    let Some(mut two) = Two::start().await else { return };
    // A standby alone accepts no writes, so it cannot be opened.
    let error = PostgresBackend::open(two.url_of_second()).await.unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Unavailable);
    assert!(error.to_string().contains("writes"), "{error}");

    let backend = two.builder().build().await.unwrap();
    let load = load::start(&backend, 32, Quota::AtMost(QUOTA));
    load.progress(1_000).await;
    two.first.kill();
    two.second.promote();
    load.progress(1_000).await;
    audit("a failover", &backend, load).await;
}

/// On the server a commit waits without a limit. The callers do not.
#[tokio::test(flavor = "multi_thread")]
async fn writes_fail_without_the_standby_and_resume_when_it_returns() {
    const AWAY: Duration = Duration::from_secs(8);
    let Some(mut two) = Two::start().await else { return };
    let builder = two.builder().statement_timeout(Duration::from_secs(1));
    let backend = builder.build().await.unwrap();
    until_written(&backend).await;
    let known = pair("amy");
    backend.insert(&known, Quota::Unlimited).await.unwrap();
    let load = load::start(&backend, 32, Quota::AtMost(QUOTA));
    load.progress(500).await;
    two.second.kill();
    // Answers to writes that the standby confirmed may still arrive.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = load.acknowledged();
    let (mut tried, gone) = (Vec::new(), Instant::now());
    while gone.elapsed() < AWAY {
        let (record, began) = (pair("bob"), Instant::now());
        let result = backend.insert(&record, Quota::AtMost(2)).await;
        unavailable(&result);
        // Two seconds to connect to each server, one for the statement, two of grace.
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        assert_eq!(backend.get(&known.id).await.unwrap().as_ref(), Some(&known));
        tried.push(record);
    }
    assert_eq!(load.acknowledged(), before, "acknowledged without the standby");

    // One session waits for the standby. The sessions that wait for that one must not pile up on
    // the server.
    let sessions = lab::sessions(&lab::connect(&two.url).await, "tower-credentials").await;
    assert!(sessions <= 9, "{sessions} sessions");

    let refused = load.unavailable();
    two.second.restart();
    let returned = Instant::now();
    load.progress(500).await;
    let took = returned.elapsed();
    eprintln!(
        "outage of the standby: {refused} writes failed; 500 writes took {took:.2?} after it"
    );
    // Each waiting write was completed or abandoned, and is not retried.
    let there = tried.len() - missing(&backend, &tried).await;
    assert_eq!(held(&backend, "bob").await, there);
    assert!(there <= 2, "the quota is exceeded");

    two.first.kill();
    two.second.promote();
    load.progress(500).await;
    assert_eq!(tried.len() - missing(&backend, &tried).await, there);
    audit("the standby killed and back, then promoted", &backend, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_primary_that_returned_as_a_standby_can_be_promoted_again() {
    let Some(mut two) = Two::start().await else { return };
    let backend = two.builder().build().await.unwrap();
    let load = load::start(&backend, 32, Quota::AtMost(QUOTA));
    load.progress(500).await;
    two.first.kill();
    two.second.promote();
    load.progress(300).await;
    two.first.rewind(&two.second, "first").await;
    two.first.restart();
    two.second.commit_with("first").await;
    load.progress(500).await;
    two.second.kill();
    two.first.promote();
    load.progress(500).await;
    audit("a failover and the way back", &backend, load).await;
}

/// An operator's mistake: the old primary should have been fenced.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_saw_the_promoted_server_do_not_use_the_old_one() {
    let Some(mut two) = Two::start().await else { return };
    let second = Duration::from_secs(1);
    let backend = two.builder().statement_timeout(second).build().await.unwrap();
    let only_first = PostgresBackend::open(&two.url).await.unwrap();
    until_written(&backend).await;
    let (revoked, kept) = (pair("amy"), pair("amy"));
    for record in [&revoked, &kept] {
        backend.insert(record, Quota::Unlimited).await.unwrap();
    }
    two.first.kill();
    two.second.promote();
    while !backend.delete(&revoked.id, revoked.version).await.is_ok_and(|done| done) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    two.first.restart();
    two.first.commit_alone().await;
    // The old primary accepts writes and still has the revoked key.
    until_written(&only_first).await;
    assert!(only_first.get(&revoked.id).await.unwrap().is_some());

    // A process that starts now finds both servers, the old one first.
    let later = two.builder().statement_timeout(second).build().await.unwrap();
    until_written(&later).await;
    assert_eq!(later.get(&revoked.id).await.unwrap(), None);
    let record = pair("amy");
    later.insert(&record, Quota::Unlimited).await.unwrap();
    assert_eq!(backend.get(&record.id).await.unwrap(), Some(record));

    // While the promoted server does not answer, the old one is not used.
    let mut changes = backend.subscribe().await.unwrap();
    two.second.pause(true);
    let began = Instant::now();
    while began.elapsed() < 5 * second {
        for backend in [&backend, &later] {
            let (read, written) = tokio::join!(backend.get(&revoked.id), async {
                backend.insert(&pair("bob"), Quota::Unlimited).await
            });
            unavailable(&read);
            unavailable(&written);
        }
    }
    unavailable(&changes.next().await);
    unavailable(&backend.subscribe().await);
    two.second.pause(false);
    for backend in [&backend, &later] {
        let read = async {
            while !backend.get(&kept.id).await.is_ok_and(|it| it.as_ref() == Some(&kept)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(20 * second, read).await.expect("it goes on by itself");
        assert_eq!(backend.get(&revoked.id).await.unwrap(), None);
    }
}

/// The primary keeps running, and waits for a standby that no longer follows it.
#[tokio::test(flavor = "multi_thread")]
async fn standby_that_is_promoted_beside_its_primary_is_found() {
    let Some(two) = Two::start().await else { return };
    let second = Duration::from_secs(1);
    let builder = two.builder().statement_timeout(second);
    let backend = builder.build().await.unwrap();
    until_written(&backend).await;
    let mut changes = backend.subscribe().await.unwrap();
    let revoked = pair("amy");
    backend.insert(&revoked, Quota::Unlimited).await.unwrap();
    two.second.promote();
    let promoted = PostgresBackend::open(two.url_of_second()).await.unwrap();
    until_written(&promoted).await;
    assert!(promoted.delete(&revoked.id, revoked.version).await.unwrap());

    let (record, began) = (pair("amy"), Instant::now());
    while backend.insert(&record, Quota::Unlimited).await.is_err() {
        assert!(began.elapsed() < 20 * second, "the promoted server was not found");
    }
    eprintln!("standby promoted beside its primary: found after {:.2?}", began.elapsed());
    assert_eq!(promoted.get(&record.id).await.unwrap(), Some(record));
    assert_eq!(backend.get(&revoked.id).await.unwrap(), None);
    // The feed is still connected to the old primary.
    while changes.next().await.is_ok() {
        assert!(began.elapsed() < 20 * second, "the feed does not end");
    }
    backend.subscribe().await.unwrap().next().await.unwrap();
}
