//! No request forges a line of the server's log, or moves the cursor of a terminal that
//! shows it.

use http::Method;
use serde_json::json;

use crate::{
    http::{Client, Raw},
    keys::{ALICE, DEMO, mint},
    process::{Program, Server},
    signing::Signing,
};

/// Text that runs backwards, as it may stand in a path.
const REVERSED: &str = "x\u{202e}\u{2066}\u{200f}";

/// The same, a line end, and what moves a cursor and sets colors, percent-encoded.
const HOSTILE: &str = "x%0A2026-01-02T03:04:05Z%20INFO%20forged%0D%1B%5B2K%C2%9B%E2%80%AE%E2%81%A6";

/// Checks that every line of a log is the server's own, in printable text.
fn assert_clean(log: &str) {
    let hidden = |c: char| c != '\n' && (c.is_control() || format!("{c:?}").starts_with("'\\u"));
    assert_eq!(log.chars().find(|c| hidden(*c)), None, "{log:?}");
    assert!(log.lines().all(|line| line.starts_with("20") && line.contains("Z ")), "{log}");
    assert!(!log.lines().any(|line| line.contains("Z INFO forged")), "{log}");
}

pub async fn hostile_paths_ids_and_headers_are_escaped_in_the_log(program: Program) {
    // What the `s3s` crate logs below `info` is its own.
    let server = Server::new(program).log("trace,s3s=info,s3s_fs=info").start().await;
    let client = server.client();
    let mut plain = 0;
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
            raw.say(format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 X-Auth-Token: dev-admin\r\nUser-Agent: {REVERSED}\r\nOrigin: {REVERSED}\r\n\
                 Content-Length: 0\r\n\r\n"
            ))
            .await;
            plain += usize::from(raw.hear_out().await.starts_with("HTTP/1.1 "));
        }
    }
    assert_eq!(plain, 9 * 3, "all were answered");

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
    assert!(log.contains("DEBUG") && log.contains("access_key=\"a\\\"b'c\\\\d\""), "{log}");
    assert!(log.contains("path=\"/x\\u{202e}\\u{2066}\\u{200f}\""), "{log}");
    assert_clean(&log);
}
