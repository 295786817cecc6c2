//! The metrics of the server, as Prometheus scrapes them.

use test_support::{
    clients::rusty_s3::Store,
    keys::mint,
    process::Server,
    scraping::{address, scrape, series, value},
};

use crate::GATEWAY;

#[tokio::test]
async fn verifications_are_counted_and_names_of_clients_create_no_series() {
    let server = Server::new(GATEWAY).arguments(&["--metrics-listen", "127.0.0.1:0"]);
    let gateway = server.start().await;
    let metrics = address(&gateway).await;
    let client = gateway.client();
    let key = mint(&client, "dev-alice").await;
    let store = |bucket: &str, access: &str| {
        let mut named = key.clone();
        access.clone_into(&mut named.access);
        Store::new(&client, &gateway.url, bucket, &named)
    };
    store("photos", &key.access).create().await.expect(200);
    store("photos", "hostile-key").list().await.refused("InvalidAccessKeyId");
    let before = scrape(&metrics).await;
    for index in 0..100 {
        let unknown = store(&format!("hostile-bucket-{index}"), &format!("hostile-key-{index}"));
        unknown.list().await.refused("InvalidAccessKeyId");
    }
    let after = scrape(&metrics).await;
    assert_eq!(series(&after), series(&before));
    assert!(!after.contains("hostile"), "{after}");
    let verified = |page: &str, outcome: &str| {
        let name = "tower_credentials_verifications_total";
        // Clients presign.
        value(page, &format!("{name}{{mechanism=\"query_v4\",outcome=\"{outcome}\"}}"))
    };
    assert!((verified(&after, "ok") - 1.0).abs() < 0.1, "{after}");
    assert!((verified(&after, "unknown_key") - 101.0).abs() < 0.1, "{after}");
}
