//! What is not about credentials reaches Keystone, and its answers the client, as they are.

use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    http::{Client, Raw},
    keystone::{ADMIN, ALICE, Keystone},
    process::Front,
    raw::Saying,
};

#[tokio::test]
async fn paths_and_queries_in_the_usual_spelling_pass_byte_for_byte() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
    for target in [
        "/",
        "/v3",
        "/v3/users/a%40b%2b%25%C3%a4?name=%C3%A4%61&name=b+c&&empty=//./%2F%",
        "/v3/regions/?",
        "/v3/auth/OS-FEDERATION/x%20y;v=1,2:3@4!$&'()*+~",
    ] {
        let mut raw = Raw::connect(front.host()).await;
        raw.say(format!("GET {target} HTTP/1.1\r\nHost: front\r\n\r\n")).await;
        raw.hear("\r\n\r\n").await;
        assert_eq!(keystone.last("/").uri, target);
    }
}

#[tokio::test]
async fn every_method_passes() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
    let odd = Method::from_bytes(b"PURGE").unwrap();
    for method in [Method::OPTIONS, Method::PATCH, Method::PUT, Method::DELETE, Method::HEAD, odd] {
        front.client().call(method.clone(), "/other", "", None).await.expect(200);
        assert_eq!(keystone.last("/other").method, method);
    }
}

#[tokio::test]
async fn a_head_is_answered_without_a_body_and_with_its_length() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    for _ in 0..2 {
        // Were there a body, the second answer would not begin where it does.
        raw.say("HEAD /other HTTP/1.1\r\nHost: front\r\n\r\n").await;
        let heard = raw.hear("\r\n\r\n").await;
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");
        assert!(heard.contains("content-length: 6\r\n") && heard.ends_with("\r\n\r\n"), "{heard}");
    }
}

#[tokio::test]
async fn the_status_the_headers_and_the_reason_are_keystones() {
    let answer = "HTTP/1.1 300 Multiple Choices\r\nx-openstack-request-id: req-1\r\nVary: X-Auth-Token\r\n\
                  Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi";
    let keystone = Saying::start(answer).await;
    let front = Front::before(&keystone.url).start().await;
    let answer = front.client().get("/", "").await.expect(300);
    assert_eq!(answer.text(), "hi");
    assert_eq!(answer.headers["x-openstack-request-id"], "req-1");
    assert_eq!(answer.headers["vary"], "X-Auth-Token");
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

#[tokio::test]
async fn a_connection_to_keystone_is_used_again() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
    for _ in 0..20 {
        front.client().get("/other", "").await.expect(200);
    }
    assert_eq!(keystone.connections(), 1);
}

#[tokio::test]
async fn a_hundred_requests_at_once_are_all_answered() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
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
async fn http_2_is_spoken_with_clients() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
    let answer = Client::http2(&front.url).get("/other", ALICE).await.expect(200);
    assert_eq!(answer.version, http::Version::HTTP_2);
    let seen = keystone.last("/other").headers;
    assert_eq!(seen["host"], front.host());
    assert_eq!(seen["x-auth-token"], ALICE);
}

#[tokio::test]
async fn what_another_kind_of_proxy_would_do_is_refused() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
    for (request, status) in [
        ("CONNECT other:443 HTTP/1.1\r\nHost: other\r\n\r\n", StatusCode::NOT_IMPLEMENTED),
        ("GET http://other/v3 HTTP/1.1\r\nHost: other\r\n\r\n", StatusCode::BAD_REQUEST),
        (
            "GET / HTTP/1.1\r\nHost: front\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            StatusCode::NOT_IMPLEMENTED,
        ),
    ] {
        let mut raw = Raw::connect(front.host()).await;
        raw.say(request).await;
        let heard = raw.hear("}}\n").await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status}")), "{heard}");
        assert!(heard.contains(&format!(r#"{{"error":{{"code":{}"#, status.as_u16())), "{heard}");
    }
    assert!(keystone.seen().is_empty());
}

#[tokio::test]
async fn an_offer_of_http_2_is_not_taken_and_does_no_harm() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.say(
        "GET /other HTTP/1.1\r\nHost: front\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
    )
    .await;
    assert!(raw.hear("/other").await.starts_with("HTTP/1.1 200 OK"));
    let seen = keystone.last("/other").headers;
    assert!(!seen.contains_key("upgrade") && !seen.contains_key("http2-settings"), "{seen:?}");
}

#[tokio::test]
async fn a_keystone_below_a_path_is_served_below_the_same() {
    let keystone = Keystone::start().await;
    let front = Front::before(&format!("{}/identity/v3/", keystone.url)).start().await;
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
