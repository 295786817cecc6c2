//! Readiness, request ids, sources and log lines.

use http::Request;
use http_body_util::Full;

use test_support::{http::Answer, process::Running, serving::health::ready_with};

use crate::{
    keystone::{ADMIN, Keystone},
    process::{Front, PASSWORD},
};

#[tokio::test]
async fn unreachable_keystone_makes_the_front_unready() {
    let front = Front::of("http://127.0.0.1:1").start().await;
    let text = ready_with(&front.client(), 503, "feed: ok\n").await;
    assert_eq!(text, "store: ok\nfeed: ok\nkeystone: failed: Keystone cannot be reached\n");

    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    ready_with(&front.client(), 200, "store: ok\nfeed: ok\nkeystone: ok\n").await;
    assert!(!front.stderr().contains(PASSWORD));
}

/// Sends a request with an id and an address, as a proxy does.
async fn send(front: &Running, path: &str) -> Answer {
    let request = Request::get(format!("{}{path}", front.url))
        .header("x-auth-token", ADMIN)
        .header("x-request-id", "from-the-edge")
        .header("x-forwarded-for", "203.0.113.7");
    front.client().try_send(request.body(Full::default()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn each_request_is_one_line_with_the_source_and_id_of_a_trusted_proxy_only() {
    let keystone = Keystone::start().await;
    let trusting = ["--trusted-proxy", "127.0.0.0/8"];
    for (arguments, is_trusted) in [(&trusting[..], true), (&[], false)] {
        let front = Front::of(&keystone.url).arguments(arguments).start().await;
        let own = send(&front, "/v3/credentials?type=a-marker").await.expect(200);
        let passed = send(&front, "/v2.0/tokens/a-secret-token?a=secret").await;
        front.logged(" requests: ", 2).await;
        for answer in [&own, &passed] {
            assert_eq!(answer.header("x-request-id") == "from-the-edge", is_trusted, "{answer:?}");
        }
        assert_eq!(own.header("x-openstack-request-id"), own.header("x-request-id"));
        let log = front.stderr();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(" requests: ")).collect();
        let source = if is_trusted { "source=203.0.113.7" } else { "source=127.0.0.1" };
        let routes = ["route=\"keystone_v3 list\" status=200", "route=\"/v2.0/tokens/...\" "];
        assert_eq!(lines.len(), 2, "{log}");
        for ((line, route), answer) in lines.iter().zip(routes).zip([&own, &passed]) {
            let id = format!("request_id={}", answer.header("x-request-id"));
            assert!([source, route, &id].iter().all(|text| line.contains(text)), "{line}");
            assert!(!line.contains("marker") && !line.contains("secret"), "{line}");
        }
    }
}
