//! The front and Keystone never interpret a path differently.

use http::Method;
use serde_json::json;

use crate::{
    http::{Client, Raw},
    keystone::{ADMIN, ALICE, Keystone},
    process::Front,
};

/// Requests a target without changes; returns the whole response.
async fn ask(front: &str, method: &str, target: &str) -> String {
    let mut raw = Raw::connect(front).await;
    let head = format!("{method} {target} HTTP/1.1\r\nHost: front\r\nX-Auth-Token: {ADMIN}\r\n");
    raw.send(format!("{head}Connection: close\r\n\r\n")).await;
    raw.receive_all().await
}

#[tokio::test]
async fn front_answers_credential_paths_in_every_spelling() {
    let keystone = Keystone::start().await;
    keystone.put("keystones-own", &json!({"type": "totp", "user_id": "alice", "blob": "x"}));
    let front = Front::of(&keystone.url).start().await;
    for target in [
        "/v3/%63redentials",
        "/v3/credential%73?type=ec2",
        "/%76%33/%63%72%65%64%65%6e%74%69%61%6C%73",
        "//v3/credentials",
        "////v3/credentials/",
        "/v3//credentials",
        "/v3///credentials///",
        "//%76%33//%63redentials",
        "/v3/credentials#fragment",
        "http://front//v3/credentials",
        "http://elsewhere/v3/%63redentials",
        "/v3/users/alice/credentials/OS%2DEC2",
        "/v3/%75sers/alice/credentials/OS-EC2",
        "//v3/users//alice/credentials//OS%2dEC2/",
    ] {
        let received = ask(front.host(), "GET", target).await;
        assert!(received.starts_with("HTTP/1.1 200 OK"), "{target}: {received}");
        assert!(received.contains(r#""credentials":[]"#), "{target}: {received}");
    }
    let reached: Vec<_> = keystone.requests().into_iter().map(|seen| seen.uri).collect();
    assert!(!reached.iter().any(|uri| uri.contains("redential")), "{reached:?}");
}

#[tokio::test]
async fn key_created_with_another_spelling_is_stored() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = front.client();
    for path in ["/v3/users/alice/%63redentials/OS%2DEC2", "//v3/users/alice/credentials/OS-EC2"] {
        let made = client.post(path, ALICE, &json!({"tenant_id": "demo"})).await.expect(201).json();
        let access = made["credential"]["access"].as_str().unwrap();
        let shown = format!("/v3/users/alice/credentials/OS-EC2/{access}");
        client.get(&shown, ALICE).await.expect(200);
    }
    assert_eq!(keystone.count(&Method::POST, "/v3/users"), 0);
}

#[tokio::test]
async fn forwarded_paths_are_normalized() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    for (target, forwarded) in [
        ("//v3/regions", "/v3/regions"),
        ("/%2Dother//x", "/-other/x"),
        ("/other/%41%7e%5F%2e.%2d%30", "/other/A~_..-0"),
        ("/other/%2563redentials", "/other/%2563redentials"),
        ("/other/%25%36%33", "/other/%2563"),
        ("/other/a+b%20c%3b;d=1,%c3%A4%3f%23", "/other/a+b%20c%3b;d=1,%c3%A4%3f%23"),
        ("/other/%ff%C0%AF/...", "/other/%ff%C0%AF/..."),
        ("//other?a=//b/./%61&c=%2F%", "/other?a=//b/./%61&c=%2F%"),
        ("/other/%61?", "/other/a?"),
    ] {
        let received = ask(front.host(), "GET", target).await;
        assert!(received.starts_with("HTTP/1.1 200 OK"), "{target}: {received}");
        assert_eq!(keystone.last("/").uri, forwarded, "{target}");
    }
}

#[tokio::test]
async fn ambiguous_paths_are_rejected() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    for target in [
        "/v3%2Fcredentials",
        "/v3%2fcredentials",
        "/%2Fv3/credentials",
        "/v3/users/alice/credentials%2FOS-EC2",
        "/v3/users%2Falice",
        "/v3/credentials%2F",
        "/v3\\credentials",
        "/v3%5Ccredentials",
        "/v3%5ccredentials",
        "/v3/credentials%00",
        "/v3/credentials%0A",
        "/v3/credentials%0d%0a",
        "/v3/credentials%1F",
        "/v3/credentials%7f",
        "/v3/./credentials",
        "/v3/x/../credentials",
        "/v3/%2e/credentials",
        "/v3/x/%2E%2e/credentials",
        "/v3/.%2E/credentials",
        "/v3/credentials/.",
        "/v3/credentials/..?x",
        "/..",
        // Decoded twice, these would be valid codes.
        "/v3/%%36%33redentials",
        "/v3/%6%33redentials",
        "/v3/credentials%",
        "/v3/credentials%6",
        "/v3/%u0063redentials",
        "/v3/%+3redentials",
        "http://front/v3%2Fcredentials",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let received = ask(front.host(), method, target).await;
            assert!(received.starts_with("HTTP/1.1 400 Bad Request"), "{target}: {received}");
            assert!(received.contains(r#"{"error":{"code":400,"#), "{target}: {received}");
            assert!(
                received.contains("content-type: application/json\r\n"),
                "{target}: {received}"
            );
        }
    }
    assert!(keystone.requests().is_empty());
}

#[tokio::test]
async fn paths_are_normalized_on_http_2() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = Client::http2(&front.url);
    let listed = client.get("//v3/%63redentials", ADMIN).await.expect(200).json();
    assert_eq!(listed["credentials"], json!([]));
    let refused = client.get("/v3%2Fcredentials", ADMIN).await.expect(400).json();
    assert_eq!(refused["error"]["code"], 400);
    assert_eq!(keystone.count(&Method::GET, "/v3/credentials"), 0);
}

#[tokio::test]
async fn paths_below_a_prefix_are_normalized() {
    let keystone = Keystone::start().await;
    let front = Front::of(&format!("{}/identity", keystone.url)).start().await;
    for target in
        ["/identity//v3/credentials", "/%69dentity/v3/credentials", "//identity/v3//credentials"]
    {
        let received = ask(front.host(), "GET", target).await;
        assert!(received.contains(r#""credentials":[]"#), "{target}: {received}");
    }
    assert_eq!(keystone.count(&Method::GET, "/identity/v3/credentials"), 0);
    let received = ask(front.host(), "GET", "/identity%2Fv3/credentials").await;
    assert!(received.starts_with("HTTP/1.1 400"), "{received}");
}

#[tokio::test]
async fn deletions_in_every_spelling_purge_keys() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = front.client();
    for (target, user, project) in [
        ("//v3/users/amy", "amy", "demo"),
        ("/v3/%75sers/b%6fb", "bob", "demo"),
        ("/v3//users//cid//", "cid", "demo"),
        ("/v3/%70rojects/p%31", "dan", "p1"),
    ] {
        let keys = format!("/v3/users/{user}/credentials/OS-EC2");
        client.post(&keys, ADMIN, &json!({"tenant_id": project})).await.expect(201);
        let received = ask(front.host(), "DELETE", target).await;
        assert!(received.starts_with("HTTP/1.1 204"), "{target}: {received}");
        let left = client.get(&keys, ADMIN).await.expect(200).json();
        assert_eq!(left["credentials"], json!([]), "{target}");
    }
}
