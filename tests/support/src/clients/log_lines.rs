//! Requests cannot forge a line of the server's log, nor move the cursor of a terminal.

use http::Method;
use serde_json::json;

use crate::{
    http::{Client, Raw},
    keys::{ALICE, DEMO, mint},
    process::{Program, Server},
    signing::Signing,
};

/// Bidirectional control characters, which a path may contain.
const REVERSED: &str = "x\u{202e}\u{2066}\u{200f}";

/// The same, line ends and terminal control sequences, percent-encoded.
const HOSTILE: &str = "x%0A2026-01-02T03:04:05Z%20INFO%20forged%0D%1B%5B2K%C2%9B%E2%80%AE%E2%81%A6";

/// Checks that the log contains only printable lines of the server.
fn assert_clean(log: &str) {
    let hidden = |c: char| c != '\n' && (c.is_control() || format!("{c:?}").starts_with("'\\u"));
    assert_eq!(log.chars().find(|c| hidden(*c)), None, "{log:?}");
    assert!(log.lines().all(|line| line.starts_with("20") && line.contains("Z ")), "{log}");
    assert!(!log.lines().any(|line| line.contains("Z INFO forged")), "{log}");
}

pub async fn hostile_paths_ids_and_headers_are_escaped_in_the_log(program: Program) {
    // The crate `s3s` does not escape its lines below `info`.
    let server = Server::new(program).log("trace,s3s=info,s3s_fs=info").start().await;
    let client = server.client();
    let mut responses = 0;
    for path in [
        format!("/{REVERSED}"),
        format!("/bucket/{REVERSED}?{REVERSED}"),
        format!("/credentials/{REVERSED}"),
        format!("/{HOSTILE}"),
        format!("/bucket/{HOSTILE}?{HOSTILE}"),
        format!("/credentials/{HOSTILE}"),
        format!("/v2.0/users/{HOSTILE}/OS-KSADM/credentials"),
        format!("/v3/credentials/{HOSTILE}?user_id={HOSTILE}"),
        format!("/v3/users/{HOSTILE}/credentials/OS-EC2"),
    ] {
        for method in ["GET", "DELETE", "POST"] {
            let mut raw = Raw::connect(server.host()).await;
            raw.send(format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 X-Auth-Token: dev-admin\r\nUser-Agent: {REVERSED}\r\nOrigin: {REVERSED}\r\n\
                 Content-Length: 0\r\n\r\n"
            ))
            .await;
            responses += usize::from(raw.receive_all().await.starts_with("HTTP/1.1 "));
        }
    }
    assert_eq!(responses, 9 * 3, "every request got a response");

    let body = json!({"credential": {
        "type": "ec2", "user_id": ALICE, "project_id": DEMO,
        "blob": {"access": "a\"b'c\\d", "secret": "s"},
    }});
    client.post("/credentials", "dev-admin", &body).await.expect(201);
    let key = mint(&client, "dev-alice").await;
    let alice = Signing { client: Client::new(&server.url), url: server.url.clone(), key };
    alice.send(Method::PUT, "bucket", "").await.expect(200);
    alice.send(Method::PUT, &format!("bucket/{HOSTILE}"), "").await;
    alice.send(Method::GET, &format!("bucket/{HOSTILE}"), "").await;

    let log = server.stderr();
    assert!(log.contains("access_key=\"a\\\"b'c\\\\d\""), "{log}");
    assert!(log.contains("route=\"/x%E2%80%AE%E2%81%A6%E2%80%8F\""), "{log}");
    assert_clean(&log);
}
