//! The metrics of the server, as Prometheus scrapes them.

#[cfg(feature = "tls")]
use std::time::UNIX_EPOCH;
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use http::Method;
use test_support::{
    clients::rusty_s3::Store,
    http::{Answer, Client},
    installed,
    keys::mint,
    process::{Running, Server},
    scraping::{address, scrape, series, value},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
#[cfg(feature = "tls")]
use tower_credentials::clock::{Clock as _, SystemClock};

use crate::ACCESSER;

/// A server and the host and port of its metrics.
async fn server() -> (Running, String) {
    let arguments = ["--metrics-listen", "127.0.0.1:0", "--metrics-keys-every", "10"];
    let accesser = Server::new(ACCESSER).arguments(&arguments).start().await;
    let metrics = address(&accesser).await;
    (accesser, metrics)
}

/// Uses every dialect, and the store.
async fn use_everything(accesser: &Running) {
    let client = accesser.client();
    let key = mint(&client, "dev-alice").await;
    Store::new(&client, &accesser.url, "photos", &key).create().await.expect(200);
    for path in ["/credentials", "/v3/credentials", "/v2.0/users/x/OS-KSADM/credentials"] {
        client.get(path, "dev-alice").await;
        client.get(path, "nobody").await;
    }
}

#[tokio::test]
async fn page_passes_promtool_and_counts_requests() {
    let (accesser, metrics) = server().await;
    use_everything(&accesser).await;
    let page = scrape(&metrics).await;
    let created = "tower_credentials_requests_total{dialect=\"ibm_cos\",operation=\"create\",\
                   status=\"2xx\"}";
    assert!((value(&page, created) - 1.0).abs() < 0.1);
    let buckets = "tower_credentials_request_duration_seconds_bucket{dialect=\"ibm_cos\",\
                   operation=\"create\",le=\"+Inf\"}";
    assert!((value(&page, buckets) - 1.0).abs() < 0.1);
    assert!((value(&page, "tower_credentials_cache_feed_connected") - 1.0).abs() < 0.1);
    assert!(!page.contains("quantile="), "a histogram has no buckets");
    if !installed::has("promtool", Command::new("promtool").arg("--version")) {
        return;
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.is_empty(), "{text}");
}

#[tokio::test]
async fn names_that_clients_choose_create_no_series() {
    let (accesser, metrics) = server().await;
    use_everything(&accesser).await;
    let before = series(&scrape(&metrics).await);
    let (client, url) = (accesser.client(), accesser.url.clone());
    let key = mint(&client, "dev-alice").await;
    let mut requests = JoinSet::new();
    for task in 0..10 {
        let (client, url, key) = (client.clone(), url.clone(), key.clone());
        requests.spawn(async move {
            for index in 0..25 {
                let name = format!("hostile-{task}-{index}-\u{1f4a5}");
                let coded = format!("hostile-{task}-{index}-%F0%9F%92%A5%22%7D");
                for path in [
                    format!("/credentials/{coded}"),
                    format!("/v3/users/{coded}/credentials/OS-EC2/{coded}"),
                    format!("/v2.0/users/{coded}/OS-KSADM/credentials/{coded}"),
                ] {
                    let token = if index % 2 == 0 { "dev-alice" } else { "hostile-token" };
                    client.call(Method::GET, &path, token, None).await;
                }
                let mut unknown = key.clone();
                unknown.access = name;
                Store::new(&client, &url, &format!("bucket-{task}-{index}"), &unknown).list().await;
            }
        });
    }
    requests.join_all().await;
    let page = scrape(&metrics).await;
    assert_eq!(series(&page), before);
    assert!(!page.contains("hostile"), "{page}");
}

#[tokio::test]
async fn listener_of_metrics_serves_only_get_metrics() {
    let (accesser, metrics) = server().await;
    let client = Client::new(&format!("http://{metrics}"));
    let status = |answer: Answer| answer.status.as_u16();
    assert_eq!(status(client.get("/", "").await), 404);
    assert_eq!(status(client.get("/credentials", "dev-alice").await), 404);
    let posted = client.call(Method::POST, "/metrics", "", None).await;
    assert_eq!((posted.status.as_u16(), &posted.headers["allow"]), (405, &"GET".parse().unwrap()));
    // And the service has no page of that name: the store refuses the bucket.
    assert_eq!(status(accesser.client().get("/metrics", "").await), 403);
}

#[tokio::test]
async fn scrapers_that_hang_delay_neither_clients_nor_later_scrapes_for_long() {
    let (accesser, metrics) = server().await;
    let mut hanging = Vec::new();
    for _ in 0..40 {
        let mut socket = TcpStream::connect(&metrics).await.unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        hanging.push(socket);
    }
    mint(&accesser.client(), "dev-alice").await;
    // Waits for a place.
    assert!(scrape(&metrics).await.contains("tower_credentials_build_info"));
    let mut rest = Vec::new();
    let read = hanging[0].read_to_end(&mut rest).await;
    let closed = read.is_err() || rest.is_empty() || rest.starts_with(b"HTTP/1.1 408");
    assert!(closed, "{}", String::from_utf8_lossy(&rest));
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn page_shows_when_the_certificate_expires() {
    let files = test_support::tls::lab::Files::new(ACCESSER);
    let lab = files.arguments(&["--metrics-listen", "127.0.0.1:0"]).start().await;
    let page = scrape(&address(&lab.running).await).await;
    let expiry = value(&page, "tower_credentials_certificate_expiry_timestamp_seconds");
    let now = SystemClock.now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(expiry > now && expiry < now + 100.0 * 365.25 * 86_400.0, "{expiry}");
}

#[tokio::test]
async fn address_that_others_can_reach_requires_metrics_public() {
    let arguments = ["--metrics-listen", "0.0.0.0:0"];
    let error = Server::new(ACCESSER).arguments(&arguments).error().await;
    assert_eq!(
        error,
        "error: --metrics-listen must be a loopback address, got 0.0.0.0:0; --metrics-public \
         accepts it"
    );
    let server = Server::new(ACCESSER).arguments(&arguments).arguments(&["--metrics-public"]);
    server.start().await.logged("metrics are at http://0.0.0.0:", 1).await;
}
