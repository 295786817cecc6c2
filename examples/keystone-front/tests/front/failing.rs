//! Keystones that are unreachable, silent, slow, or do not speak HTTP.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    http::{Answer, Raw},
    keystone::{ALICE, Keystone},
    process::Front,
    raw::ScriptedServer,
};

/// The upper limit for a timeout of one second on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Checks an error response in Keystone's format.
#[track_caller]
fn assert_error(answer: Answer, status: u16, title: &str) -> Answer {
    let answer = answer.expect(status);
    assert_eq!(answer.headers["content-type"], "application/json");
    let error = &answer.json()["error"];
    assert_eq!(error["code"], status);
    assert_eq!(error["title"], title);
    assert!(error["message"].as_str().unwrap().contains("Keystone"), "{answer:?}");
    answer
}

#[tokio::test]
async fn unreachable_keystone_returns_502() {
    let front = Front::of("http://127.0.0.1:1").start().await;
    let answer = front.client().get("/v3/users", ALICE).await;
    let answer = assert_error(answer, 502, "Bad Gateway");
    assert!(answer.headers.contains_key("retry-after"));
    // The front's own paths need Keystone to validate the token.
    let answer = front.client().get("/v3/credentials", ALICE).await.expect(503);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn disconnecting_keystone_returns_502_and_writes_are_not_retried() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        keystone.fail(&method, "/other", 0);
    }
    let client = front.client();
    let body = json!({"a": "body"});
    assert_error(client.get("/other", "").await, 502, "Bad Gateway");
    assert_error(client.post("/other", "", &body).await, 502, "Bad Gateway");
    assert_error(client.call(Method::DELETE, "/other", "", None).await, 502, "Bad Gateway");
    assert_eq!(keystone.count(&Method::GET, "/other"), 2);
    assert_eq!(keystone.count(&Method::POST, "/other"), 1);
    assert_eq!(keystone.count(&Method::DELETE, "/other"), 1);
    keystone.clear_faults();
    client.post("/other", "", &body).await.expect(200);
}

#[tokio::test]
async fn idle_connection_closed_by_keystone_fails_no_request() {
    // Closes the connection after each response, without `Connection: close`.
    let keystone = ScriptedServer::start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let front = Front::of(&keystone.url).start().await;
    for _ in 0..50 {
        front.client().get("/v3", "").await.expect(200);
    }
}

#[tokio::test]
async fn response_that_is_not_http_returns_502() {
    for garbage in
        ["SSH-2.0-OpenSSH_9.9\r\n\r\n", "HTTP/1.1 two hundred\r\n\r\n", "\0\0\0\0\0\0\r\n"]
    {
        let keystone = ScriptedServer::start(garbage).await;
        let front = Front::of(&keystone.url).start().await;
        assert_error(front.client().get("/v3/users", "").await, 502, "Bad Gateway");
    }
    let keystone = ScriptedServer::start(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    );
    let keystone = keystone.await;
    let front = Front::of(&keystone.url).start().await;
    assert_error(front.client().get("/v3/users", "").await, 502, "Bad Gateway");
}

#[tokio::test]
async fn slow_keystone_returns_504() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--timeout", "1"]).start().await;
    let answer = assert_error(front.client().get("/hang", "").await, 504, "Gateway Timeout");
    assert!(answer.headers.contains_key("retry-after"));
    keystone.request_canceled().await;
}

#[tokio::test]
async fn silent_keystone_returns_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // The second option is the former name of the first one.
    for option in ["--timeout", "--patience"] {
        let front = Front::of(&url).arguments(&[option, "1"]).start().await;
        assert_error(front.client().get("/v3", "").await, 504, "Gateway Timeout");
    }
    drop(listener);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test measures time")]
async fn slow_body_may_exceed_the_timeout_while_it_progresses() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--timeout", "1"]).start().await;
    let began = Instant::now();
    let mut raw = Raw::connect(front.host()).await;
    raw.send("POST /upload HTTP/1.1\r\nHost: front\r\nContent-Length: 6\r\n\r\n").await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        raw.send("x").await;
    }
    let received = raw.receive_until("\r\n\r\n").await;
    assert!(received.starts_with("HTTP/1.1 200 OK"), "{received}");
    assert!(began.elapsed() > Duration::from_secs(2));
}

#[tokio::test]
async fn stalled_request_body_returns_408() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--timeout", "1"]).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send("POST /upload HTTP/1.1\r\nHost: front\r\nContent-Length: 6\r\n\r\nx").await;
    let received = timeout(SOON, raw.receive_until("}}\n")).await.expect("no timeout occurred");
    assert!(received.starts_with("HTTP/1.1 408 Request Timeout"), "{received}");
}

#[tokio::test]
async fn stalled_response_is_aborted() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--timeout", "1"]).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send("GET /pieces HTTP/1.1\r\nHost: front\r\n\r\n").await;
    let received = timeout(SOON, raw.receive_all()).await.expect("no timeout occurred");
    assert!(received.contains("first;") && !received.ends_with("0\r\n\r\n"), "{received}");
    front.logged("Keystone's response ended early", 1).await;
}

#[tokio::test]
async fn keystones_own_errors_pass_unchanged() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    keystone.fail(&Method::GET, "/other", 503);
    let answer: Value = front.client().get("/other", "").await.expect(503).json();
    assert_eq!(answer["error"]["message"], "scripted failure");
}
