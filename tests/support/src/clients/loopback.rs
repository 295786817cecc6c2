//! The development tokens work for loopback hosts only. So a web page with a host name for
//! 127.0.0.1 cannot use the credential paths.

use http::{HeaderValue, Method, Request, header::HOST};
use http_body_util::Full;
use tower_credentials::clock::{Clock, SystemClock};

use crate::{
    http::{Answer, Client, Raw},
    keys::{ALICE, mint},
    process::{Program, Running, Server},
    secret_file,
    signing::Signing,
};

const LOOPBACK: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1:1",
    "127.9.8.7:8338",
    "127.0.0.1.",
    "[::1]",
    "[0:0::1]:8338",
    "localhost",
    "LocalHost.:8338",
    "keys.localhost",
    "a.b.LOCALHOST.",
];

const FOREIGN: &[&str] = &[
    "",
    "evil.example",
    "evil.example:8338",
    "localhost.evil.example",
    "evillocalhost",
    "localhost@evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.evil.example:8338",
    "128.0.0.1",
    "0.0.0.0",
    "0177.0.0.1",
    "2130706433",
    "10.0.0.1",
    "[::]",
    "[::2]",
    "[::ffff:127.0.0.1]",
    "::1",
    "[::1",
    "localhost, evil.example",
    "evil.example localhost",
];

fn head(method: &str, path: &str, hosts: &[&str], headers: &str) -> String {
    let hosts: String = hosts.iter().flat_map(|host| ["Host: ", host, "\r\n"]).collect();
    format!("{method} {path} HTTP/1.1\r\n{hosts}Connection: close\r\n{headers}\r\n")
}

async fn exchange(server: &Running, request: String) -> String {
    let mut raw = Raw::connect(server.host()).await;
    raw.send(request).await;
    raw.receive_all().await
}

const TOKEN: &str = "X-Auth-Token: dev-admin\r\n";

pub async fn development_tokens_work_for_loopback_hosts_only(program: Program) {
    let server = Server::new(program).start().await;
    let grants = format!("/v2.0/users/{ALICE}/OS-KSADM/credentials");
    let pairs = format!("/v3/users/{ALICE}/credentials/OS-EC2");
    for path in ["/credentials", &*grants, "/v3/credentials", &pairs] {
        for host in LOOPBACK {
            let received = exchange(&server, head("GET", path, &[host], TOKEN)).await;
            assert!(received.starts_with("HTTP/1.1 200 "), "{path} {host}: {received}");
        }
        for host in FOREIGN {
            let received = exchange(&server, head("GET", path, &[host], TOKEN)).await;
            // An invalid request returns 400.
            let refused =
                received.starts_with("HTTP/1.1 403 ") || received.starts_with("HTTP/1.1 400 ");
            assert!(refused, "{path} {host}: {received}");
            assert!(!received.contains(ALICE), "{path} {host}: {received}");
        }
    }
    for hosts in [&["localhost", "evil.example"][..], &["localhost", "localhost"]] {
        let received = exchange(&server, head("GET", "/credentials", hosts, TOKEN)).await;
        assert!(received.starts_with("HTTP/1.1 40"), "{hosts:?}: {received}");
    }
    let received = exchange(&server, "GET /credentials HTTP/1.0\r\n\r\n".into()).await;
    assert!(received.starts_with("HTTP/1.0 403 "), "{received}");
    let target = "http://evil.example/credentials";
    let received = exchange(&server, head("GET", target, &["localhost"], TOKEN)).await;
    assert!(received.starts_with("HTTP/1.1 403 "), "the host in the target counts: {received}");
}

pub async fn rejection_of_a_foreign_host_names_the_identities_option(program: Program) {
    let server = Server::new(program).start().await;
    for (method, headers) in [
        ("GET", TOKEN),
        ("GET", ""),
        ("GET", "Authorization: Basic YWxpY2U6ZGV2LWFkbWlu\r\n"),
        ("OPTIONS", "Origin: http://evil.example\r\n"),
        ("POST", "X-Auth-Token: dev-admin\r\nContent-Length: 0\r\n"),
        ("DELETE", TOKEN),
    ] {
        let request = head(method, "/v3/credentials", &["evil.example:8338"], headers);
        let received = exchange(&server, request).await;
        assert!(received.starts_with("HTTP/1.1 403 "), "{method}: {received}");
        let (_, body) = received.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], 403);
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("--identities FILE"), "{message}");
    }
    let received = exchange(&server, head("GET", "/healthz", &["evil.example"], "")).await;
    assert!(received.starts_with("HTTP/1.1 200 "), "{received}");
}

/// Sends a request that is signed for another host.
async fn signed(who: &Signing, method: Method, host: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(format!("http://{host}{path}"));
    let (mut request, _) =
        who.signer(SystemClock.now()).body("").sign(request.body(Full::default()).unwrap());
    request.headers_mut().insert(HOST, HeaderValue::try_from(host).unwrap());
    *request.uri_mut() = format!("{}{path}", who.url).parse().unwrap();
    who.client.try_send(request).await.unwrap()
}

pub async fn signed_requests_work_for_every_host(program: Program) {
    let server = Server::new(program).start().await;
    let client = server.client();
    let key = mint(&client, "dev-alice").await;
    let alice = Signing { client: Client::new(&server.url), url: server.url.clone(), key };
    for bucket in ["/demo", "/credentials"] {
        signed(&alice, Method::PUT, "evil.example", bucket).await.expect(200);
        signed(&alice, Method::GET, "evil.example:8338", bucket).await.expect(200);
    }
}

pub async fn tokens_of_a_file_work_for_every_host(program: Program) {
    let server = Server::new(program);
    let file = server.home().join("identities.toml");
    let identities = "[[projects]]\nid = \"p1\"\nname = \"one\"\n\
        [[users]]\nid = \"u1\"\nname = \"dana\"\nprojects = [\"p1\"]\n\
        [[tokens]]\ntoken = \"token-of-dana\"\nuser_id = \"u1\"\nproject_id = \"p1\"\n\
        roles = [\"key_listing_user\"]\n";
    secret_file::write(&file, identities);
    let server = server.arguments(&["--identities", file.to_str().unwrap()]).start().await;
    for host in ["evil.example", "localhost"] {
        let token = "X-Auth-Token: token-of-dana\r\n";
        let received = exchange(&server, head("GET", "/credentials", &[host], token)).await;
        assert!(received.starts_with("HTTP/1.1 200 "), "{host}: {received}");
    }
}
