//! Checks the order of system calls: the accesser must not return 201 before a sync of the key has
//! returned. Kills alone would not test a power loss.

use std::{fs, io::Write as _, process::Command};

use test_support::{keys::create, process::Server, tools::has, waiting::Waiting};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    ACCESSER,
    syscalls::{hex, judge, parse},
};

const SEQUENTIAL: usize = 40;
const CLIENTS: usize = 16;
const EACH: usize = 10;

/// Runs creates under strace; returns the trace and the keys.
async fn trace(clients: usize, each: usize) -> (String, Vec<String>) {
    let accesser = Server::new(ACCESSER);
    let file = accesser.home().join("trace");
    // With `-D` the tracer is the child, so that signals reach the accesser.
    let calls = "trace=fsync,fdatasync,pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg";
    let strace = ["strace", "-D", "-f", "-y", "-xx", "-s", "5000", "-e", calls, "-o"];
    let accesser = accesser.under(&[&strace[..], &[file.to_str().unwrap()]].concat());
    let mut running = accesser.start().await;
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let client = running.client();
        tasks.spawn(async move {
            let keys: Vec<_> = (0..each).map(|n| format!("key-{number:03}-{n:03}.")).collect();
            for key in &keys {
                create(&client, key).await.expect(201);
            }
            keys
        });
    }
    let keys = tasks.join_all().await.concat();
    running.stop().await;
    // strace pads short thread ids.
    let id = running.id().to_string();
    let is_last = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some(&id) && words.eq(["+++", "exited", "with", "0", "+++"])
    };
    for () in Waiting::start() {
        let trace = fs::read_to_string(&file).unwrap();
        if trace.lines().last().is_some_and(is_last) {
            return (trace, keys);
        }
        sleep(Waiting::STEP).await;
    }
    panic!("strace does not end");
}

async fn check_syncs(clients: usize, each: usize) {
    // Checks the permission to trace too.
    if !has("strace that may trace", Command::new("strace").args(["-o", "/dev/null", "true"])) {
        return;
    }
    let (trace, keys) = trace(clients, each).await;
    let verdict = judge(&parse(&trace), keys.iter().map(String::as_str));
    let _ = writeln!(std::io::stderr(), "\npower loss, {clients} clients: {verdict}");
    assert_eq!(verdict.acknowledged, clients * each, "creates are missing in the trace");
    assert!(verdict.uncovered.is_empty(), "{:?}", verdict.uncovered);

    // The same trace without syncs.
    let wal = hex(b"-wal");
    let is_sync = |line: &&str| {
        (line.contains("fsync(") || line.contains("fdatasync(")) && line.contains(&wal)
    };
    let without_syncs: Vec<_> = trace.lines().filter(|line| !is_sync(line)).collect();
    let verdict = judge(&parse(&without_syncs.join("\n")), keys.iter().map(String::as_str));
    assert_eq!(verdict.uncovered.len(), keys.len(), "the check did not find the missing syncs");
}

#[tokio::test]
async fn create_is_acknowledged_after_its_sync() {
    check_syncs(1, SEQUENTIAL).await;
}

#[tokio::test]
async fn concurrent_creates_are_acknowledged_after_their_sync() {
    check_syncs(CLIENTS, EACH).await;
}
