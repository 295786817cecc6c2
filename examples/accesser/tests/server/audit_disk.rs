//! A disk of the audit file that is slow, or becomes read-only under the open file: system calls
//! of the running server that are delayed, or fail.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use test_support::{
    http::Client,
    keys::{create_body, secret_of},
    process::Running,
    serving::health::ready_with,
    tools::has,
};
use tokio::time::sleep;

use crate::audit::{audited, changes, check};

/// Injects into the system calls of a process on one file, until it is dropped.
struct Injection {
    strace: Child,
    /// Open, because strace ends if it cannot print that there is a new thread.
    _stderr: BufReader<ChildStderr>,
}

impl Injection {
    fn start(server: &Running, file: &Path, what: &str) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-p", &server.id().to_string(), "-P"]).arg(file);
        let inject = format!("inject={what}");
        let mut strace = command.args(["-e", &inject]).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        Self { strace, _stderr: stderr }
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        let kill = format!("kill {}", self.strace.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
        let _ = self.strace.wait();
    }
}

fn can_inject() -> bool {
    // strace must not be a parent of the other process.
    let attach = "sleep 1 & strace -o /dev/null -p $!; exit $?";
    has("strace that may attach", Command::new("sh").args(["-c", attach]))
}

async fn create(client: &Client, access: &str) -> u16 {
    let body = create_body(access, &secret_of(access), "Active");
    client.post("/credentials", "dev-alice", &body).await.status.as_u16()
}

/// Creates a key before, while and after system calls on the audit file are changed.
async fn failing(what: &str, reason: &str) {
    if !can_inject() {
        return;
    }
    let (folder, server) = audited();
    let mut running = server.start().await;
    let client = running.client();
    assert_eq!(create(&client, "before").await, 201);

    let injection = Injection::start(&running, &folder.path().join("audit.log"), what);
    assert_eq!(create(&client, "during").await, 503);
    let text = ready_with(&client, 200, "audit: degraded: ").await;
    assert!(text.contains(reason), "{text}");
    // Longer than the pause after which the server tries again.
    for _ in 0..5 {
        sleep(Duration::from_millis(500)).await;
        let text = ready_with(&client, 200, "audit: ").await;
        assert!(text.contains("audit: degraded: "), "{text}");
    }
    client.get("/credentials/during", "dev-alice").await.expect(404);
    client.get("/credentials/before", "dev-alice").await.expect(200);

    drop(injection);
    ready_with(&client, 200, "audit: ok").await;
    assert_eq!(create(&client, "after").await, 201);
    running.stop().await;
    let lines = changes(folder.path());
    let count = |line: &str| lines.iter().filter(|it| *it == line).count();
    for key in ["before", "after"] {
        assert_eq!(count(&format!("\"intent\" \"{key}\"")), 1, "{lines:?}");
        assert_eq!(count(&format!("\"outcome\" \"{key}\"")), 1, "{lines:?}");
    }
    // The intent may have reached the file before the failure.
    assert_eq!(count("\"intent\" \"during\""), count("\"outcome\" \"during\""), "{lines:?}");
    check(folder.path(), &[]);
}

#[tokio::test]
async fn slow_disk_refuses_changes_and_serves_reads() {
    failing("fdatasync:delay_enter=20s", "has not responded for ").await;
}

#[tokio::test]
async fn disk_that_becomes_read_only_refuses_changes_and_serves_reads() {
    failing("write,pwrite64,writev:error=EROFS", "Read-only file system").await;
}

#[tokio::test]
async fn disk_that_fails_to_sync_refuses_changes_and_serves_reads() {
    failing("fdatasync:error=EIO", "Input/output error").await;
}
