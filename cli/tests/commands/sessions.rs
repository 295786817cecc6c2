//! `session`: temporary credentials that a verifier accepts.

use std::{fs, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use test_support::{aws_signer::Signer, records};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    backend::{CredentialBackend, Uncached, memory::MemoryBackend, sqlite::SqliteBackend},
    clock::{Clock, SystemClock},
    domain::Quota,
    s3::S3AuthLayer,
};

use crate::tool::{Run, Tool};

const ACCESS: &str = "181920";
const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";
const READ: &str = r#"{"Version": "2012-10-17", "Statement":
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/a/*"}}"#;

/// Runs the command with the key in its environment.
fn run(tool: &Tool, secret: &str, more: &[&str]) -> Run {
    tool.with(&[&["session"], more].concat(), |command| {
        command.env("AWS_ACCESS_KEY_ID", ACCESS).env("AWS_SECRET_ACCESS_KEY", secret);
    })
}

/// Returns whether a store admits a request that is signed with the credentials.
async fn admits(credentials: &Value, target: &str) -> bool {
    let keys = MemoryBackend::default();
    let parent = Arc::new(records::pair_in("demo", "alice", ACCESS, SECRET));
    keys.insert(&parent, Quota::Unlimited).await.unwrap();
    let text = |name: &str| credentials[name].as_str().unwrap();
    let signer = Signer::new(text("AccessKeyId"), text("SecretAccessKey"), SystemClock.now());
    let request = Request::get(target)
        .header("host", "localhost")
        .header("x-amz-security-token", text("SessionToken"));
    let request = signer.sign(request.body(Full::<Bytes>::default()).unwrap()).0;
    let store = service_fn(|_| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::default()))
    });
    let response = S3AuthLayer::new(Uncached(keys)).layer(store).oneshot(request).await;
    response.unwrap().status() == StatusCode::OK
}

#[tokio::test]
async fn credentials_for_a_process_are_accepted_within_their_policy() {
    let tool = Tool::new();
    fs::write(tool.path("policy"), READ).unwrap();
    let run = run(&tool, SECRET, &["--policy", "policy", "--life", "30m", "--credential-process"]);
    assert_eq!((run.code, &*run.stderr), (0, ""));
    let credentials: Value = serde_json::from_str(run.stdout()).unwrap();
    assert_eq!(credentials["Version"], 1);
    assert!(credentials["Expiration"].as_str().unwrap().ends_with('Z'), "{credentials}");
    assert!(admits(&credentials, "/b/a/x").await);
    assert!(!admits(&credentials, "/b/c/x").await);
}

#[test]
fn credentials_are_printed_as_lines_and_as_json() {
    let tool = Tool::new();
    let lines = run(&tool, SECRET, &["--name", "nightly"]);
    assert_eq!(lines.code, 0, "{}", lines.stderr);
    assert!(lines.stdout().starts_with("access key: ASIA"), "{}", lines.stdout());
    let json = run(&tool, SECRET, &["--json"]);
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&report["command"], &report["exit"]), (&"session".into(), &0.into()));
    assert!(report["session_token"].as_str().unwrap().starts_with("tc1."));
}

#[test]
fn what_cannot_be_a_session_is_rejected() {
    let tool = Tool::new();
    fs::write(tool.path("short"), r#"{"permission": "read", "buckets": ["b"]}"#).unwrap();
    for (secret, more) in [
        (SECRET, &["--life", "37h"][..]),
        (SECRET, &["--life", "0"]),
        (SECRET, &["--name", "a b"]),
        (SECRET, &["--policy", "short"]),
        (SECRET, &["--policy", "missing"]),
        (SECRET, &["--json", "--credential-process"]),
        (&SECRET[..31], &[]),
        ("", &[]),
    ] {
        let run = run(&tool, secret, more);
        assert_eq!((run.code, run.stdout()), (2, ""), "{more:?}: {}", run.stderr);
        assert!(!run.stderr.contains(SECRET), "{}", run.stderr);
    }
}

#[tokio::test]
async fn record_with_the_access_key_of_a_session_is_not_copied() {
    let tool = Tool::new();
    let reserved = records::pair_in("demo", "alice", "ASIA234567ABCDEFGHIJ", SECRET);
    let other = records::pair_in("demo", "alice", ACCESS, SECRET);
    let store = SqliteBackend::open(tool.path("a.db")).unwrap();
    for record in [&reserved, &other] {
        store.insert(&Arc::new(record.clone()), Quota::Unlimited).await.unwrap();
    }
    drop(store);
    tool.run_ok(&["init", "sqlite:b.db"]);
    let report = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!((&report["exit"], &report["stored"]), (&4.into(), &1.into()), "{report}");
    assert_eq!(report["refused_ids"][0], reserved.id.as_str());
}
