//! A disk of the audit file that is slow, or becomes read-only under the open file: system calls
//! of the running server that are delayed, or fail.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use tempfile::NamedTempFile;
use test_support::{keys::create, process::Running, serving::health::ready_with, tools::has};
use tokio::time::sleep;

use crate::audit::{audited, changes};

/// Injects into the system calls of a process on one file, until it is dropped.
struct Injection {
    strace: Child,
    /// The calls.
    trace: NamedTempFile,
    /// Open, because strace ends if it cannot print that there is a new thread.
    _stderr: BufReader<ChildStderr>,
}

impl Injection {
    fn start(server: &Running, file: &Path, what: &str) -> Self {
        let trace = NamedTempFile::new().unwrap();
        let mut command = Command::new("strace");
        command.arg("-o").arg(trace.path()).args(["-f", "-p", &server.id().to_string()]);
        command.arg("-P").arg(file);
        let inject = format!("inject={what}");
        let mut strace = command.args(["-e", &inject]).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        Self { strace, trace, _stderr: stderr }
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

/// Creates a key before, while and after system calls on the audit file are changed. Returns the
/// calls while they are changed; `None` if the test is skipped.
async fn failing(what: &str, reason: &str) -> Option<String> {
    if !can_inject() {
        return None;
    }
    let (_folder, audit, server) = audited();
    let mut running = server.start().await;
    let client = running.client();
    create(&client, "before").await.expect(201);

    let injection = Injection::start(&running, audit.path(), what);
    create(&client, "during").await.expect(503);
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

    let trace = fs::read_to_string(injection.trace.path()).unwrap();
    drop(injection);
    ready_with(&client, 200, "audit: ok").await;
    create(&client, "after").await.expect(201);
    running.stop().await;
    let lines = changes(&audit);
    let count = |line: &str| lines.iter().filter(|it| *it == line).count();
    for key in ["before", "after"] {
        assert_eq!(count(&format!("\"intent\" \"{key}\"")), 1, "{lines:?}");
        assert_eq!(count(&format!("\"outcome\" \"{key}\"")), 1, "{lines:?}");
    }
    // The intent may have reached the file before the failure.
    assert_eq!(count("\"intent\" \"during\""), count("\"outcome\" \"during\""), "{lines:?}");
    let report = audit.verify(&[]);
    assert!(report.findings.is_empty(), "{report:?}");
    Some(trace)
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
    let trace = failing("fdatasync:error=EIO", "Input/output error").await;
    // The lines are written again, at their place: Linux may take their pages for clean.
    assert!(trace.is_none_or(|trace| trace.contains(" pwrite64(")));
}
