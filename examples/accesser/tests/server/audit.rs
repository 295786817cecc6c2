//! The audit file of the server.

use std::{
    fs::{self, File},
    io::BufReader,
    path::Path,
};

use http::Method;
use serde_json::Value;
use test_support::{
    keys::{ALICE, create_body, exists_unchanged, secret_of},
    process::Server,
    secret_file,
};
use tower_credentials::{
    audit::file::{AuditKey, ChainHead, ChainReport, verify},
    secret_files::SecretFiles,
};

use crate::ACCESSER;

const KEY: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn audited() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let (key, file) = (folder.path().join("audit.key"), folder.path().join("audit.log"));
    secret_file::write(&key, KEY);
    let (key, file) = (key.to_str().unwrap(), file.to_str().unwrap());
    let arguments = ["--audit-key", key, "--audit-file", file, "--audit-synced"];
    let server = Server::new(ACCESSER).arguments(&arguments);
    (folder, server)
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("audit.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The type and the target of each line that is not a start.
pub(crate) fn changes(folder: &Path) -> Vec<String> {
    let lines = lines(folder).into_iter().filter(|line| line["type"] != "start");
    lines.map(|line| format!("{} {}", line["type"], line["target"]["access_key"])).collect()
}

/// Checks that the file verifies.
pub(crate) fn check(folder: &Path, heads: &[ChainHead]) -> ChainReport {
    let key = folder.join("audit.key");
    let key = AuditKey::resolve(key.to_str().unwrap(), SecretFiles::new()).unwrap();
    let file = BufReader::new(File::open(folder.join("audit.log")).unwrap());
    let report = verify([file], &key, None, heads).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    report
}

#[tokio::test]
async fn killed_server_has_every_acknowledged_change_in_its_audit_file() {
    let (folder, server) = audited();
    let mut running = server.start().await;
    let client = running.client();
    for number in 0..5 {
        let access = format!("k{number}");
        let body = create_body(&access, &secret_of(&access), "Active");
        client.post("/credentials", "dev-alice", &body).await.expect(201);
    }
    running.kill();
    let before = changes(folder.path());
    let running = server.start().await;
    assert!(exists_unchanged(&running.client(), "k4").await);
    let after = changes(folder.path());
    let expected: Vec<_> = (0..5)
        .flat_map(|k| [format!("\"intent\" \"k{k}\""), format!("\"outcome\" \"k{k}\"")])
        .collect();
    // The last outcome may be resolved by the second process.
    assert!(before.len() >= 9, "{before:?}");
    assert_eq!(after, expected);
    let line = &lines(folder.path())[2];
    assert_eq!(line["actor"]["user_id"], ALICE);
    assert_eq!(line["actor"]["source"], "127.0.0.1");
    assert!(line["actor"]["request_id"].is_string(), "{line}");
    assert!(!fs::read_to_string(folder.path().join("audit.log")).unwrap().contains("secret of"));
}

#[tokio::test]
async fn log_of_the_server_has_the_heads_of_its_audit_file() {
    let (folder, server) = audited();
    let mut running = server.start().await;
    let body = create_body("k", &secret_of("k"), "Active");
    running.client().post("/credentials", "dev-alice", &body).await.expect(201);
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
    let report = check(folder.path(), &heads);
    assert_eq!(report.head, heads.last().copied());
}

#[tokio::test]
async fn file_that_cannot_be_written_refuses_changes_and_serves_reads() {
    let (folder, server) = audited();
    let running = server.start().await;
    let client = running.client();
    let path = folder.path().join("audit.log");
    let create = async |access: &str| {
        let body = create_body(access, &secret_of(access), "Active");
        client.post("/credentials", "dev-alice", &body).await.status.as_u16()
    };
    assert_eq!(create("before").await, 201);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(create("during").await, 503);
    client.get("/credentials/during", "dev-alice").await.expect(404);
    client.get("/credentials/before", "dev-alice").await.expect(200);
    fs::remove_dir(&path).unwrap();
    assert_eq!(create("after").await, 201);
    let deleted = client.call(Method::DELETE, "/credentials/after", "dev-alice", None);
    deleted.await.expect(204);
}
