//! Requests that are not about credentials, and their responses, pass unchanged.

use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    http::{Client, Raw},
    keystone::{ADMIN, ALICE, Keystone},
    process::Front,
    raw::ScriptedServer,
};

#[tokio::test]
async fn normalized_paths_and_queries_pass_byte_for_byte() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    for target in [
        "/",
        "/v3",
        "/v3/users/a%40b%2b%25%C3%a4?name=%C3%A4%61&name=b+c&&empty=//./%2F%",
        "/v3/regions/?",
        "/v3/auth/OS-FEDERATION/x%20y;v=1,2:3@4!$&'()*+~",
    ] {
        let mut raw = Raw::connect(front.host()).await;
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: front\r\n\r\n")).await;
        raw.receive_until("\r\n\r\n").await;
        assert_eq!(keystone.last("/").uri, target);
    }
}

#[tokio::test]
async fn every_method_passes() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let odd = Method::from_bytes(b"PURGE").unwrap();
    for method in [Method::OPTIONS, Method::PATCH, Method::PUT, Method::DELETE, Method::HEAD, odd] {
        front.client().call(method.clone(), "/other", "", None).await.expect(200);
        assert_eq!(keystone.last("/other").method, method);
    }
}

#[tokio::test]
async fn head_response_has_a_length_and_no_body() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    for _ in 0..2 {
        // With a body, the second response would not start with a status line.
        raw.send("HEAD /other HTTP/1.1\r\nHost: front\r\n\r\n").await;
        let received = raw.receive_until("\r\n\r\n").await;
        assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
        assert!(
            received.contains("content-length: 6\r\n") && received.ends_with("\r\n\r\n"),
            "{received}"
        );
    }
}

#[tokio::test]
async fn status_and_headers_are_keystones() {
    let answer = "HTTP/1.1 300 Multiple Choices\r\nx-openstack-request-id: req-1\r\nVary: X-Auth-Token\r\n\
                  Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi";
    let keystone = ScriptedServer::start(answer).await;
    let front = Front::of(&keystone.url).start().await;
    let answer = front.client().get("/", "").await.expect(300);
    assert_eq!(answer.text(), "hi");
    assert_eq!(answer.headers["x-openstack-request-id"], "req-1");
    assert_eq!(answer.headers["vary"], "X-Auth-Token");
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

#[tokio::test]
async fn connection_to_keystone_is_reused() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    for _ in 0..20 {
        front.client().get("/other", "").await.expect(200);
    }
    assert_eq!(keystone.connections(), 1);
}

#[tokio::test]
async fn hundred_concurrent_requests_succeed() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let mut running = JoinSet::new();
    for number in 0..100 {
        let client = front.client();
        running.spawn(async move {
            let path = format!("/other/{number}");
            assert_eq!(client.get(&path, "").await.expect(200).text(), path);
        });
    }
    assert_eq!(running.join_all().await.len(), 100);
}

#[tokio::test]
async fn clients_can_use_http_2() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let answer = Client::http2(&front.url).get("/other", ALICE).await.expect(200);
    assert_eq!(answer.version, http::Version::HTTP_2);
    let seen = keystone.last("/other").headers;
    assert_eq!(seen["host"], front.host());
    assert_eq!(seen["x-auth-token"], ALICE);
}

#[tokio::test]
async fn requests_for_other_kinds_of_proxies_are_rejected() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    for (request, status) in [
        ("CONNECT other:443 HTTP/1.1\r\nHost: other\r\n\r\n", StatusCode::NOT_IMPLEMENTED),
        ("GET http://other/v3 HTTP/1.1\r\nHost: other\r\n\r\n", StatusCode::BAD_REQUEST),
        (
            "GET / HTTP/1.1\r\nHost: front\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            StatusCode::NOT_IMPLEMENTED,
        ),
    ] {
        let mut raw = Raw::connect(front.host()).await;
        raw.send(request).await;
        let received = raw.receive_until("}}\n").await;
        assert!(received.starts_with(&format!("HTTP/1.1 {status}")), "{received}");
        assert!(
            received.contains(&format!(r#"{{"error":{{"code":{}"#, status.as_u16())),
            "{received}"
        );
    }
    assert!(keystone.requests().is_empty());
}

#[tokio::test]
async fn upgrade_to_http_2_is_ignored() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send(
        "GET /other HTTP/1.1\r\nHost: front\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
    )
    .await;
    assert!(raw.receive_until("/other").await.starts_with("HTTP/1.1 200 OK"));
    let seen = keystone.last("/other").headers;
    assert!(!seen.contains_key("upgrade") && !seen.contains_key("http2-settings"), "{seen:?}");
}

#[tokio::test]
async fn keystone_below_a_path_is_served_below_the_same_path() {
    let keystone = Keystone::start().await;
    let front = Front::of(&format!("{}/identity/v3/", keystone.url)).start().await;
    let client = front.client();
    client.get("/identity/v3/regions", "").await.expect(200);
    assert_eq!(keystone.last("/").uri, "/identity/v3/regions");

    let keys = "/identity/v3/users/amy/credentials/OS-EC2";
    let made = client.post(keys, ADMIN, &json!({"tenant_id": "demo"})).await.expect(201).json();
    let link = made["credential"]["links"]["self"].as_str().unwrap();
    let shown = link.strip_prefix(&front.url).unwrap();
    assert!(shown.starts_with(keys), "{link}");
    client.get(shown, ADMIN).await.expect(200);
    client.call(Method::DELETE, "/identity/v3/users/amy", ADMIN, None).await.expect(204);
    client.get(shown, ADMIN).await.expect(404);
}
