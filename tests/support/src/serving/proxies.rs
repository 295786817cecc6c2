//! `--trusted-proxy`: the source and the id of a request.

use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

use crate::{
    http::{Answer, Client},
    keys::{mint, mint_with},
    process::{Program, Running, Server},
    signing::Signing,
};

const TRUSTED: [&str; 4] = ["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "127.0.0.0/8"];
/// The proxy that connects is not in this network.
const UNTRUSTED: [&str; 2] = ["--trusted-proxy", "10.0.0.0/8"];

/// An object, and a key that reads it from this network only.
async fn restricted(server: &Running, network: &str) -> Signing {
    let (client, url) = (Client::http2(&server.url), server.url.clone());
    let owner = Signing { key: mint(&client, "dev-alice").await, client, url };
    owner.put("data", "").await;
    owner.put("data/object", "content").await.expect(200);
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*",
        "Condition": {"IpAddress": {"aws:SourceIp": network}},
    }]});
    let members = json!({"boundary": {"policy": policy}});
    Signing { key: mint_with(&owner.client, "dev-alice", &members).await, ..owner }
}

pub async fn addresses_count_from_a_trusted_proxy_only(program: Program) {
    let trusting = Server::new(program).arguments(&TRUSTED).start().await;
    let other = Server::new(program).arguments(&UNTRUSTED).start().await;
    let by_default = Server::new(program).start().await;
    let list = ("x-forwarded-for", "198.51.100.1, 203.0.113.7, 10.0.0.2");
    let element = ("forwarded", "for=198.51.100.1, for=\"203.0.113.7:4711\";proto=https");
    for header in [list, element] {
        let client = restricted(&trusting, "203.0.113.0/24").await;
        let answer = client.send_with(Method::GET, "data/object", &[header], "").await;
        assert_eq!(answer.expect(200).text(), "content", "{header:?}");
        client.get("data/object").await.refused("AccessDenied");
        for server in [&other, &by_default] {
            let client = restricted(server, "203.0.113.0/24").await;
            let answer = client.send_with(Method::GET, "data/object", &[header], "").await;
            answer.refused("AccessDenied");
            let client = restricted(server, "127.0.0.0/8").await;
            let answer = client.send_with(Method::GET, "data/object", &[header], "").await;
            answer.expect(200);
        }
    }
    // An unknown source is in no network: not in that of the proxy either.
    let client = restricted(&trusting, "127.0.0.0/8").await;
    client.get("data/object").await.expect(200);
    for header in
        [("forwarded", "for=_hidden"), ("forwarded", "for=unknown"), ("x-forwarded-for", "")]
    {
        let answer = client.send_with(Method::GET, "data/object", &[header], "").await;
        answer.refused("AccessDenied");
    }
    let differing = [list, ("forwarded", "for=192.0.2.1")];
    let answer = client.send_with(Method::GET, "data/object", &differing, "").await;
    answer.refused("AccessDenied");
    trusting.logged("source=203.0.113.7", 2).await;
    assert!(!other.stderr().contains("203.0.113.7"));
}

/// Sends a request with these ids.
async fn send(server: &Running, path: &str, ids: &[&str]) -> Answer {
    let mut request = Request::get(format!("{}{path}", server.url));
    for id in ids {
        request = request.header("x-request-id", *id);
    }
    server.client().try_send(request.body(Full::default()).unwrap()).await.unwrap()
}

pub async fn request_ids_count_from_a_trusted_proxy_only(program: Program) {
    let trusting = Server::new(program).arguments(&TRUSTED).start().await;
    let other = Server::new(program).arguments(&UNTRUSTED).start().await;
    for path in ["/healthz", "/credentials", "/v3/credentials", "/bucket/object", "/?Action=x"] {
        let id = "edge:7f3a_1.b-2";
        let answer = send(&trusting, path, &[id]).await;
        assert_eq!(answer.header("x-request-id"), id, "{path}");
        let text = answer.text();
        if text.contains("<RequestId>") {
            assert!(text.contains(&format!("<RequestId>{id}</RequestId>")), "{text}");
        }
        for name in ["x-openstack-request-id", "x-amz-request-id", "x-amzn-requestid"] {
            assert!(["", id].contains(&answer.header(name)), "{path} {answer:?}");
        }
        let answer = send(&other, path, &[id]).await;
        assert_made(&answer);
        assert!(!answer.text().contains(id), "{answer:?}");
    }
    let answer = send(&trusting, "/v3/credentials", &["an-id"]).await;
    assert_eq!(answer.header("x-openstack-request-id"), "an-id");
    let answer = send(&trusting, "/bucket/object", &["an-id"]).await;
    assert_eq!(answer.header("x-amz-request-id"), "an-id");

    let long = "a".repeat(129);
    for ids in [&["a b"][..], &["a\"b"], &["a=b"], &[""], &[&long], &["a", "b"], &[]] {
        assert_made(&send(&trusting, "/healthz", ids).await);
    }
    assert!(!other.stderr().contains("edge:"), "{}", other.stderr());
}

/// Checks that the server made the id of the response.
#[track_caller]
fn assert_made(answer: &Answer) {
    let id = answer.header("x-request-id");
    assert!(id.starts_with("req-") && id.len() == 40, "{answer:?}");
}

pub async fn value_that_is_not_a_network_is_rejected(program: Program) {
    let server = Server::new(program).arguments(&["--trusted-proxy", "proxy.example"]);
    let (status, stderr) = server.refuse("127.0.0.1:0").await;
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("not an address or a network such as 10.0.0.0/8"), "{stderr}");
}
