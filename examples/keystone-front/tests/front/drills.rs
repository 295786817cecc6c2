//! A failure drill: what an operator sees while Keystone is unavailable.

use http::Method;
use test_support::{
    alerts,
    scraping::{address, scrape, value},
    serving::health::ready_with,
};

use crate::{
    keystone::{ADMIN, Keystone},
    process::Front,
};

#[tokio::test]
async fn keystone_outage_is_seen_in_metrics_readiness_and_alerts() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--metrics-listen", "127.0.0.1:0"]);
    let running = front.start().await;
    let (client, metrics) = (running.client(), address(&running).await);
    client.get("/v3/credentials", ADMIN).await.expect(200);
    ready_with(&client, 200, "keystone: ok\n").await;
    let before = scrape(&metrics).await;
    assert!(value(&before, "tower_credentials_keystone_up") > 0.5, "{before}");
    alerts::is_silent("KeystoneUnavailable", &before);

    // It accepts connections, and closes them.
    for path in ["/v3/auth/tokens", "/v3/", "/v3", "/"] {
        keystone.fail(&Method::GET, path, 0);
        keystone.fail(&Method::POST, path, 0);
    }
    client.get("/v3/credentials", "another-token").await.expect(503);
    ready_with(&client, 503, "keystone: failed: ").await;
    let during = scrape(&metrics).await;
    assert!(value(&during, "tower_credentials_keystone_up") < 0.5, "{during}");
    alerts::fires("KeystoneUnavailable", &before, &during);
}
