//! Failure drills: what an operator sees in the metrics, the readiness and the alerts.

use std::fs;

use test_support::{
    alerts,
    audit_file::AuditFile,
    http::Client,
    keys::{Key, create},
    process::Server,
    scraping::{address, scrape, value},
    serving::health::ready_with,
    signing::Signing,
    small_disk::SmallDisk,
};
use tokio::task::JoinSet;

use crate::{ACCESSER, audit::with, lab::Lab};

const METRICS: [&str; 2] = ["--metrics-listen", "127.0.0.1:0"];

#[tokio::test]
async fn missing_store_is_seen_with_its_broken_feed() {
    let server = Server::new(ACCESSER).arguments(&METRICS);
    let running = server.start().await;
    let (client, metrics) = (running.client(), address(&running).await);
    create(&client, "before").await.expect(201);
    ready_with(&client, 200, "store: ok\nfeed: ok\n").await;
    let before = scrape(&metrics).await;
    alerts::is_silent("CredentialStoreFailing", &before);
    alerts::is_silent("CredentialFeedBroken", &before);

    let beside = |ending: &str| server.database().with_extension(format!("db{ending}"));
    for ending in ["", "-wal", "-shm"] {
        fs::rename(beside(ending), server.home().join(format!("away{ending}"))).unwrap();
    }
    for number in 0..10 {
        create(&client, &format!("during-{number}")).await.expect(503);
    }
    let text = ready_with(&client, 503, "feed: degraded: ").await;
    assert!(text.contains("store: failed: "), "{text}");
    let during = scrape(&metrics).await;
    assert!(value(&during, "tower_credentials_cache_feed_connected") < 0.5, "{during}");
    alerts::fires("CredentialStoreFailing", &before, &during);
    alerts::fires("CredentialFeedBroken", &before, &during);
    // The listener of the metrics has the readiness too.
    ready_with(&Client::new(&format!("http://{metrics}")), 503, "store: failed: ").await;
}

#[tokio::test]
async fn guesser_at_work_is_seen_and_the_server_stays_ready() {
    let lab = Lab::start(&METRICS).await;
    let metrics = address(&lab.server).await;
    let before = scrape(&metrics).await;
    alerts::is_silent("GuessersAtWork", &before);
    let key = Key { secret: "wrong".into(), ..lab.alice.key.clone() };
    let guesser = Signing { key, ..lab.alice.clone() };
    let mut attempts = JoinSet::new();
    // Two minutes may share them.
    for _ in 0..210 {
        let guesser = guesser.clone();
        attempts.spawn(async move { guesser.get("data").await.status.as_u16() });
    }
    for _ in 0..200 {
        assert_eq!(attempts.join_next().await.unwrap().unwrap(), 403);
    }
    let during = scrape(&metrics).await;
    assert!(value(&during, "tower_credentials_guesser_failures_total") >= 200.0, "{during}");
    assert!(value(&during, "tower_credentials_guessers_delayed_total") > 0.0, "{during}");
    let wrong = "mechanism=\"header_v4\",outcome=\"wrong_signature\"";
    let wrong = format!("tower_credentials_verifications_total{{{wrong}}}");
    assert!(value(&during, &wrong) >= 200.0, "{during}");
    alerts::fires("GuessersAtWork", &before, &during);
    ready_with(&lab.server.client(), 200, "store: ok\nfeed: ok\n").await;
}

#[tokio::test]
async fn full_disk_of_the_audit_file_is_seen_and_changes_are_refused() {
    let Some(disk) = SmallDisk::mount("64k") else { return };
    let server = Server::new(ACCESSER).arguments(&METRICS);
    let running = with(&AuditFile::new(disk.path()), server).start().await;
    let (client, metrics) = (running.client(), address(&running).await);
    ready_with(&client, 200, "audit: ok\n").await;
    let before = scrape(&metrics).await;
    alerts::is_silent("AuditNotWritten", &before);

    let mut created = 0;
    while create(&client, &format!("key-{created}")).await.status == 201 {
        created += 1;
        assert!(created < 1_000, "the disk never became full");
    }
    let text = ready_with(&client, 200, "audit: degraded: changes are refused: ").await;
    assert!(text.contains("No space left on device"), "{text}");
    let during = scrape(&metrics).await;
    assert!(value(&during, "tower_credentials_audit_healthy") < 0.5, "{during}");
    alerts::fires("AuditNotWritten", &before, &during);

    disk.resize("8m");
    create(&client, "after").await.expect(201);
    ready_with(&client, 200, "audit: ok\n").await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn certificate_that_ends_soon_is_seen_before_it_ends() {
    use test_support::tls::{authority::DAY, lab::Files};

    let files = Files::new(ACCESSER).arguments(&METRICS);
    files.write(&files.authority.issue_from(2, -DAY, DAY * 30));
    let lab = files.start().await;
    let metrics = address(&lab.running).await;
    alerts::is_silent("CertificateExpiresSoon", &scrape(&metrics).await);
    ready_with(&lab.client(), 200, "certificate: ok\n").await;
    lab.files.write(&lab.files.authority.issue_from(3, -DAY, DAY * 7));
    ready_with(&lab.client(), 200, "certificate: degraded: expires at ").await;
    let during = scrape(&metrics).await;
    alerts::fires("CertificateExpiresSoon", &during, &during);
}
