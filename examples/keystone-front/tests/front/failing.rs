//! A Keystone that is away, silent, rude or half there.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    http::{Answer, Raw},
    keystone::{ALICE, Keystone},
    process::Front,
    raw::Saying,
};

/// When at the latest a patience of one second is out, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// The `error` object, in Keystone's shape, and when to try again.
#[track_caller]
fn refused(answer: Answer, status: u16, title: &str) -> Answer {
    let answer = answer.expect(status);
    assert_eq!(answer.headers["content-type"], "application/json");
    let error = &answer.json()["error"];
    assert_eq!(error["code"], status);
    assert_eq!(error["title"], title);
    assert!(error["message"].as_str().unwrap().contains("Keystone"), "{answer:?}");
    answer
}

#[tokio::test]
async fn a_keystone_that_is_away_is_502() {
    let front = Front::before("http://127.0.0.1:1").start().await;
    let answer = front.client().get("/v3/users", ALICE).await;
    let answer = refused(answer, 502, "Bad Gateway");
    assert!(answer.headers.contains_key("retry-after"));
    // What is answered here needs Keystone too, to know who asks.
    let answer = front.client().get("/v3/credentials", ALICE).await.expect(503);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_keystone_that_hangs_up_is_502_and_a_change_is_not_asked_for_twice() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        keystone.fail(&method, "/other", 0);
    }
    let client = front.client();
    let body = json!({"a": "body"});
    refused(client.get("/other", "").await, 502, "Bad Gateway");
    refused(client.post("/other", "", &body).await, 502, "Bad Gateway");
    refused(client.call(Method::DELETE, "/other", "", None).await, 502, "Bad Gateway");
    assert_eq!(keystone.times(&Method::GET, "/other"), 2);
    assert_eq!(keystone.times(&Method::POST, "/other"), 1);
    assert_eq!(keystone.times(&Method::DELETE, "/other"), 1);
    keystone.heal();
    client.post("/other", "", &body).await.expect(200);
}

#[tokio::test]
async fn a_connection_that_keystone_closes_while_it_is_kept_costs_no_request() {
    // It hangs up after every answer, without saying so.
    let keystone = Saying::start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let front = Front::before(&keystone.url).start().await;
    for _ in 0..50 {
        front.client().get("/v3", "").await.expect(200);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_502() {
    for garbage in
        ["SSH-2.0-OpenSSH_9.9\r\n\r\n", "HTTP/1.1 two hundred\r\n\r\n", "\0\0\0\0\0\0\r\n"]
    {
        let keystone = Saying::start(garbage).await;
        let front = Front::before(&keystone.url).start().await;
        refused(front.client().get("/v3/users", "").await, 502, "Bad Gateway");
    }
    let keystone = Saying::start(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    );
    let keystone = keystone.await;
    let front = Front::before(&keystone.url).start().await;
    refused(front.client().get("/v3/users", "").await, 502, "Bad Gateway");
}

#[tokio::test]
async fn a_keystone_that_does_not_answer_in_time_is_504() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).arguments(&["--patience", "1"]).start().await;
    let answer = refused(front.client().get("/hang", "").await, 504, "Gateway Timeout");
    assert!(answer.headers.contains_key("retry-after"));
    keystone.given_up().await;
}

#[tokio::test]
async fn a_keystone_that_accepts_and_says_nothing_is_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let front = Front::before(&url).arguments(&["--patience", "1"]).start().await;
    refused(front.client().get("/v3", "").await, 504, "Gateway Timeout");
    drop(listener);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
async fn a_slow_body_may_take_longer_than_patience_as_long_as_it_moves() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).arguments(&["--patience", "1"]).start().await;
    let began = Instant::now();
    let mut raw = Raw::connect(front.host()).await;
    raw.say("POST /upload HTTP/1.1\r\nHost: front\r\nContent-Length: 6\r\n\r\n").await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        raw.say("x").await;
    }
    let heard = raw.hear("\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 200 OK"), "{heard}");
    assert!(began.elapsed() > Duration::from_secs(2));
}

#[tokio::test]
async fn a_client_that_stalls_in_its_body_is_408() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).arguments(&["--patience", "1"]).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.say("POST /upload HTTP/1.1\r\nHost: front\r\nContent-Length: 6\r\n\r\nx").await;
    let heard = timeout(SOON, raw.hear("}}\n")).await.expect("it waits on");
    assert!(heard.starts_with("HTTP/1.1 408 Request Timeout"), "{heard}");
}

#[tokio::test]
async fn an_answer_that_stalls_is_broken_off() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).arguments(&["--patience", "1"]).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.say("GET /pieces HTTP/1.1\r\nHost: front\r\n\r\n").await;
    let heard = timeout(SOON, raw.hear_out()).await.expect("it waits on");
    assert!(heard.contains("first;") && !heard.ends_with("0\r\n\r\n"), "{heard}");
    front.logged("Keystone's answer broke off", 1).await;
}

#[tokio::test]
async fn refusals_of_keystones_own_pass_as_they_are() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
    keystone.fail(&Method::GET, "/other", 503);
    let answer: Value = front.client().get("/other", "").await.expect(503).json();
    assert_eq!(answer["error"]["message"], "told to");
}
