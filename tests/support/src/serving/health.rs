//! `/healthz` and `/readyz`.

use std::fs;

use http::Request;
use http_body_util::Full;
use tokio::time::sleep;

use crate::{
    http::Client,
    process::{Program, Server},
    waiting::Waiting,
};

/// Asks until the readiness has this status and contains this text; returns the whole text.
pub async fn ready_with(client: &Client, status: u16, text: &str) -> String {
    let mut last = String::new();
    for () in Waiting::start() {
        let answer = client.get("/readyz", "").await;
        last = format!("{} {}", answer.status, answer.text());
        if answer.status.as_u16() == status && answer.text().contains(text) {
            assert_eq!(answer.header("cache-control"), "no-store");
            return answer.text();
        }
        sleep(Waiting::STEP).await;
    }
    panic!("the readiness is not {status} with {text:?}: {last}");
}

pub async fn ready_server_names_each_part(program: Program) {
    let server = Server::new(program).start().await;
    let text = ready_with(&server.client(), 200, "feed: ok\n").await;
    assert_eq!(text, "store: ok\nfeed: ok\n");
}

pub async fn missing_store_makes_the_server_unready_until_it_is_back(program: Program) {
    let server = Server::new(program);
    let home = server.home().to_owned();
    let url = format!("sqlite:{}", home.join("keys.db").display());
    let running = server.arguments(&["--backend", &url]).start().await;
    let client = running.client();
    ready_with(&client, 200, "store: ok\nfeed: ok\n").await;

    let endings = ["", "-wal", "-shm"];
    let (here, away) = (home.join("keys.db"), home.join("away.db"));
    let beside = |path: &std::path::Path, ending: &str| path.with_extension(format!("db{ending}"));
    for ending in endings {
        fs::rename(beside(&here, ending), beside(&away, ending)).unwrap();
    }
    let text = ready_with(&client, 503, "feed: degraded: not connected for ").await;
    assert!(text.starts_with("store: failed: the store is unavailable\n"), "{text}");
    assert!(text.contains("changes by other processes take effect within 10 s\n"), "{text}");
    assert_eq!(client.get("/healthz", "").await.expect(200).text(), "ok\n");
    running.logged("readiness: failed", 1).await;

    for ending in endings {
        fs::rename(beside(&away, ending), beside(&here, ending)).unwrap();
    }
    ready_with(&client, 200, "store: ok\nfeed: ok\n").await;
}

pub async fn signed_requests_and_queries_are_not_health_checks(program: Program) {
    let server = Server::new(program).start().await;
    let client = server.client();
    for path in ["/healthz", "/readyz"] {
        client.get(&format!("{path}?location"), "").await.expect(403);
        client.get(&format!("{path}/"), "").await.expect(403);
        let request = Request::get(format!("{}{path}", server.url));
        let request = request.header("authorization", "AWS4-HMAC-SHA256 x");
        let answer = client.try_send(request.body(Full::default()).unwrap()).await.unwrap();
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
}
