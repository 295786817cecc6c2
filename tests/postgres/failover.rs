//! A primary that is killed, and a standby that takes its place.

use std::time::Duration;

use tower_credentials::{
    backend::postgres::{OpenErrorKind, PostgresBackend},
    domain::Quota,
};

use crate::{
    lab,
    load::{Load, held, ids, missing, report, revived},
};

/// Commits wait for the standby, so that nothing is acknowledged that it lacks.
#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_has_every_acknowledged_create() {
    const QUOTA: u32 = 10;
    let Some(mut primary) = lab::Server::start(&["max_wal_senders = 4"]) else { return };
    let url = primary.database().await;
    let standby = primary.standby("second", &["hot_standby = on"]);
    let client = lab::connect(&primary.url("postgres")).await;
    let wait = "ALTER SYSTEM SET synchronous_standby_names = 'second'";
    client.batch_execute(wait).await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();

    // A standby alone takes no writes, and is refused for that.
    let of = |port: u16| url.replace(&format!(":{}/", primary.port()), &format!(":{port}/"));
    let error = PostgresBackend::connect(of(standby.port())).await.unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Unreachable);
    assert!(error.to_string().contains("writes"), "{error}");

    let hosts = format!(":{},127.0.0.1:{}/", primary.port(), standby.port());
    let both = url.replace(&format!(":{}/", primary.port()), &hosts);
    let builder = PostgresBackend::builder(both).connect_timeout(Duration::from_secs(2));
    let backend = builder.connect().await.unwrap();
    let load = Load::start(&backend, 32, Quota::AtMost(QUOTA));
    load.progress(1_000).await;
    primary.kill();
    let before = load.acknowledged();
    standby.promote();
    load.progress(1_000).await;
    let done = load.stop().await;
    let lost = missing(&backend, &done.acknowledged).await;
    report("a failover", &done, lost);
    assert_eq!(lost, 0);
    assert!(done.created >= before + 1_000);
    assert_eq!(revived(&backend, &done.revoked).await, 0);
    assert!(done.full > 0, "no quota was ever full");
    for user in 0..16 {
        assert!(held(&backend, &format!("user {user}")).await <= QUOTA as usize);
    }
    let stored = ids(&backend).await.len();
    assert!(stored <= done.acknowledged.len() + done.unavailable, "{stored} records");
    assert!(done.longest < Duration::from_secs(20), "{:?}", done.longest);
}
