//! The development tokens work for loopback hosts only, so that a page whose name leads
//! to 127.0.0.1 reaches none of the credential paths.

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

async fn hear(server: &Running, request: String) -> String {
    let mut raw = Raw::connect(server.host()).await;
    raw.say(request).await;
    raw.hear_out().await
}

const TOKEN: &str = "X-Auth-Token: dev-admin\r\n";

pub async fn the_development_tokens_work_for_loopback_hosts_only(program: Program) {
    let server = Server::new(program).start().await;
    let grants = format!("/v2.0/users/{ALICE}/OS-KSADM/credentials");
    let pairs = format!("/v3/users/{ALICE}/credentials/OS-EC2");
    for path in ["/credentials", &*grants, "/v3/credentials", &pairs] {
        for host in LOOPBACK {
            let heard = hear(&server, head("GET", path, &[host], TOKEN)).await;
            assert!(heard.starts_with("HTTP/1.1 200 "), "{path} {host}: {heard}");
        }
        for host in FOREIGN {
            let heard = hear(&server, head("GET", path, &[host], TOKEN)).await;
            // What no server takes for a request is 400.
            let refused = heard.starts_with("HTTP/1.1 403 ") || heard.starts_with("HTTP/1.1 400 ");
            assert!(refused, "{path} {host}: {heard}");
            assert!(!heard.contains(ALICE), "{path} {host}: {heard}");
        }
    }
    for hosts in [&["localhost", "evil.example"][..], &["localhost", "localhost"]] {
        let heard = hear(&server, head("GET", "/credentials", hosts, TOKEN)).await;
        assert!(heard.starts_with("HTTP/1.1 40"), "{hosts:?}: {heard}");
    }
    let heard = hear(&server, "GET /credentials HTTP/1.0\r\n\r\n".into()).await;
    assert!(heard.starts_with("HTTP/1.0 403 "), "{heard}");
    let target = "http://evil.example/credentials";
    let heard = hear(&server, head("GET", target, &["localhost"], TOKEN)).await;
    assert!(heard.starts_with("HTTP/1.1 403 "), "the target names the host: {heard}");
}

pub async fn the_refusal_of_a_foreign_host_says_how_to_set_other_tokens(program: Program) {
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
        let heard = hear(&server, request).await;
        assert!(heard.starts_with("HTTP/1.1 403 "), "{method}: {heard}");
        let (_, body) = heard.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], 403);
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("--identities FILE"), "{message}");
    }
    let heard = hear(&server, head("GET", "/healthz", &["evil.example"], "")).await;
    assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
}

/// A request that is signed for another host than the server is found at.
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
        let heard = hear(&server, head("GET", "/credentials", &[host], token)).await;
        assert!(heard.starts_with("HTTP/1.1 200 "), "{host}: {heard}");
    }
}
