//! SIGKILL in the middle of a command, and other signals while it waits for input.

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use crate::{
    installed,
    records::{every_kind, many},
    tool::{BINARY, Tool},
    waiting::Waiting,
};

/// Several batches.
const RECORDS: usize = 45_000;

/// How often a store is read until a command is killed.
const STEP: Duration = Duration::from_millis(2);

/// Kills a command when the store has some of the records; returns their number.
fn kill_halfway(tool: &Tool, mut command: Child, store: &str) -> usize {
    let count = |flags: OpenFlags| {
        let store = Connection::open_with_flags(tool.path(store), flags).ok()?;
        let count = store.query_row("SELECT count(*) FROM records", [], |row| row.get(0));
        count.ok().map(|count: i64| usize::try_from(count).unwrap())
    };
    for () in Waiting::every(STEP) {
        if count(OpenFlags::SQLITE_OPEN_READ_ONLY).is_some_and(|count| count > 0) {
            break;
        }
        sleep(STEP);
    }
    command.kill().unwrap();
    assert!(command.wait().unwrap().code().is_none(), "the command ended before it was killed");
    // A killed writer may leave a log to recover, which takes write access.
    count(OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap()
}

#[tokio::test]
async fn killed_import_continues_when_run_again() {
    let tool = Tool::new();
    let records = many(RECORDS);
    tool.fill("a.db", &records).await;
    let recipient = tool.recipient();
    tool.run_ok(&["export", "sqlite:a.db", "out", "--recipient", &recipient]);
    let import = ["import", "sqlite:b.db", "out", "--identity", "key"];
    let there = kill_halfway(&tool, tool.start(&import), "b.db");
    eprintln!("import killed with {there} of {RECORDS} records stored");
    assert!(there > 0 && there < RECORDS, "{there}");
    let report = tool.json(&import);
    assert_eq!(report["exit"], 0, "{report}");
    assert_eq!(report["already_there"], there);
    assert_eq!(report["stored"], RECORDS - there);
    assert!(tool.records("b.db").await == records);
}

#[tokio::test]
async fn killed_copy_continues_when_run_again() {
    let tool = Tool::new();
    let records = many(RECORDS);
    tool.fill("a.db", &records).await;
    let copy = ["copy", "sqlite:a.db", "sqlite:b.db"];
    let there = kill_halfway(&tool, tool.start(&copy), "b.db");
    eprintln!("copy killed with {there} of {RECORDS} records stored");
    assert!(there > 0 && there < RECORDS, "{there}");
    let report = tool.json(&copy);
    assert_eq!(report["exit"], 0, "{report}");
    assert_eq!(report["already_there"], there);
    assert!(tool.records("b.db").await == records);
    assert!(tool.records("a.db").await == records);
}

/// How soon an interrupted command ends.
const PROMPTLY: Duration = Duration::from_secs(5);

/// Waits until a command handles SIGINT.
fn wait_for_signal_handler(command: &Child) {
    let status = format!("/proc/{}/status", command.id());
    for () in Waiting::start() {
        // The mask of the handled signals: SIGINT is the second bit.
        let text = fs::read_to_string(&status).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        if u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0 {
            return;
        }
        sleep(Waiting::STEP);
    }
    panic!("the command does not handle SIGINT");
}

#[tokio::test]
async fn command_that_waits_for_stdin_can_be_interrupted() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    tool.run_ok(&["export", "sqlite:a.db", "out", "--plaintext"]);
    let start = fs::read(tool.path("out")).unwrap();
    for (arguments, input) in [
        // Waits for the first bytes, which show how the export is sealed.
        (&["import", "sqlite:b.db", "-"][..], &b""[..]),
        (&["import", "sqlite:b.db", "-", "--plaintext"], b""),
        (&["import", "sqlite:b.db", "-", "--plaintext"], &start[..start.len() - 9]),
        (&["import", "sqlite:b.db", "-", "--keystone-keys", "null"], b""),
    ] {
        for signal in ["INT", "TERM"] {
            let mut command = tool.command(arguments);
            command.arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut running = command.spawn().unwrap();
            let mut stdin = running.stdin.take().unwrap();
            stdin.write_all(input).unwrap();
            wait_for_signal_handler(&running);
            // Until it reads.
            sleep(Duration::from_millis(200));
            let pid = running.id().to_string();
            let kill = format!("kill -s {signal} {pid}");
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
            let began = Instant::now();
            while running.try_wait().unwrap().is_none() && began.elapsed() < PROMPTLY {
                sleep(Waiting::STEP);
            }
            // Does nothing if it has ended.
            running.kill().unwrap();
            let output = running.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments:?} {signal}");
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!((&report["exit"], &report["error"]), (&1.into(), &"interrupted".into()));
            drop(stdin);
        }
    }
}

#[tokio::test]
async fn interrupted_prompt_restores_terminal_echo() {
    if !installed::has("script", Command::new("script").arg("--version")) {
        return;
    }
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    tool.run_ok(&["export", "sqlite:a.db", "out", "--passphrase-file", "passphrase"]);
    let tool_path = BINARY;
    for command in ["import sqlite:b.db out", "export sqlite:a.db other"] {
        // A terminal with a shell that survives ^C.
        let shell = format!("trap : INT; stty echo; {tool_path} {command}; echo code $?; stty -a");
        let mut script = Command::new("timeout");
        script.args(["60", "script", "-q", "-c", &shell, "/dev/null"]).current_dir(tool.path(""));
        script.env_remove("CREDENTIALS_PASSPHRASE");
        script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = script.spawn().unwrap();
        let (mut keyboard, mut screen) =
            (running.stdin.take().unwrap(), running.stdout.take().unwrap());
        let mut seen = Vec::new();
        let mut part = [0; 4_096];
        while !String::from_utf8_lossy(&seen).contains("Passphrase: ") {
            let read = screen.read(&mut part).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend(&part[..read]);
        }
        keyboard.write_all(b"typed\x03").unwrap();
        let began = Instant::now();
        screen.read_to_end(&mut seen).unwrap();
        assert!(began.elapsed() < PROMPTLY, "{:?}", began.elapsed());
        running.wait().unwrap();
        drop(keyboard);
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.contains("error: interrupted") && seen.contains("code 1"), "{seen}");
        assert!(!seen.contains("typed"), "{seen}");
        assert!(seen.contains(" echo ") && !seen.contains("-echo "), "{seen}");
        assert!(!tool.path("b.db").exists() && !tool.path("other").exists());
    }
}
