//! The audit file of the server.

use std::fs;

use http::Method;
use tempfile::TempDir;
use test_support::{
    audit_file::AuditFile,
    keys::{ALICE, create, exists_unchanged, secret_of},
    process::Server,
};
use tower_credentials::audit::file::ChainHead;

use crate::ACCESSER;

/// A server with an audit file in the folder.
pub(crate) fn audited() -> (TempDir, AuditFile, Server) {
    let folder = tempfile::tempdir().unwrap();
    let audit = AuditFile::new(folder.path());
    let server = with(&audit, Server::new(ACCESSER));
    (folder, audit, server)
}

/// Gives a server an audit file.
pub(crate) fn with(audit: &AuditFile, server: Server) -> Server {
    server.arguments(&audit.options().iter().map(String::as_str).collect::<Vec<_>>())
}

/// The type and the target of each line that is not a start.
pub(crate) fn changes(audit: &AuditFile) -> Vec<String> {
    let lines = audit.lines().into_iter().filter(|line| line["type"] != "start");
    lines.map(|line| format!("{} {}", line["type"], line["target"]["access_key"])).collect()
}

#[tokio::test]
async fn killed_server_has_every_acknowledged_change_in_its_audit_file() {
    let (_folder, audit, server) = audited();
    let mut running = server.start().await;
    let client = running.client();
    for number in 0..5 {
        create(&client, &format!("k{number}")).await.expect(201);
    }
    running.kill();
    let before = changes(&audit);
    let running = server.start().await;
    assert!(exists_unchanged(&running.client(), "k4").await);
    let after = changes(&audit);
    let expected: Vec<_> = (0..5)
        .flat_map(|k| [format!("\"intent\" \"k{k}\""), format!("\"outcome\" \"k{k}\"")])
        .collect();
    // The last outcome may be resolved by the second process.
    assert!(before.len() >= 9, "{before:?}");
    assert_eq!(after, expected);
    let line = &audit.lines()[2];
    assert_eq!(line["actor"]["user_id"], ALICE);
    assert_eq!(line["actor"]["source"], "127.0.0.1");
    assert!(line["actor"]["request_id"].is_string(), "{line}");
    let text = fs::read_to_string(audit.path()).unwrap();
    assert!((0..5).all(|k| !text.contains(&secret_of(&format!("k{k}")))));
}

#[tokio::test]
async fn log_of_the_server_has_the_heads_of_its_audit_file() {
    let (_folder, audit, server) = audited();
    let mut running = server.start().await;
    create(&running.client(), "k").await.expect(201);
    running.stop().await;
    let log = running.stderr();
    // Events are in the log too.
    assert_eq!(log.matches("::audit: credential created ").count(), 1, "{log}");
    let heads: Vec<_> = log
        .split("head=")
        .skip(1)
        .map(|text| ChainHead::parse(text.split_whitespace().next().unwrap()).unwrap())
        .collect();
    assert_eq!(heads.len(), 2, "{log}");
    let report = audit.verify(&heads);
    assert!(report.findings.is_empty(), "{report:?}");
    assert_eq!(report.head, heads.last().copied());
}

#[tokio::test]
async fn file_that_cannot_be_written_refuses_changes_and_serves_reads() {
    let (_folder, audit, server) = audited();
    let running = server.start().await;
    let client = running.client();
    let path = audit.path();
    create(&client, "before").await.expect(201);
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
    create(&client, "during").await.expect(503);
    client.get("/credentials/during", "dev-alice").await.expect(404);
    client.get("/credentials/before", "dev-alice").await.expect(200);
    fs::remove_dir(path).unwrap();
    create(&client, "after").await.expect(201);
    let deleted = client.call(Method::DELETE, "/credentials/after", "dev-alice", None);
    deleted.await.expect(204);
}
