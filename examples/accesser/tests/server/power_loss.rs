//! A killed process proves nothing about power loss, the order of its system calls
//! does: nobody is told 201 before the disk has said that it holds the key.

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
    // `-D` makes the tracer the child, so that the accesser is ours to stop.
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
    // strace pads short numbers of threads.
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

async fn nothing_is_acknowledged_before_a_sync(clients: usize, each: usize) {
    // Not its version only: whether it may trace here.
    if !has("strace that may trace", Command::new("strace").args(["-o", "/dev/null", "true"])) {
        return;
    }
    let (trace, keys) = trace(clients, each).await;
    let verdict = judge(&parse(&trace), keys.iter().map(String::as_str));
    let _ = writeln!(std::io::stderr(), "\npower loss, {clients} clients: {verdict}");
    assert_eq!(verdict.acknowledged, clients * each, "the trace lacks some");
    assert!(verdict.uncovered.is_empty(), "{:?}", verdict.uncovered);

    // The same trace, had it not waited for the disk.
    let wal = hex(b"-wal");
    let is_sync = |line: &&str| {
        (line.contains("fsync(") || line.contains("fdatasync(")) && line.contains(&wal)
    };
    let doctored: Vec<_> = trace.lines().filter(|line| !is_sync(line)).collect();
    let verdict = judge(&parse(&doctored.join("\n")), keys.iter().map(String::as_str));
    assert_eq!(verdict.uncovered.len(), keys.len(), "the check cannot fail");
}

#[tokio::test]
async fn no_create_is_acknowledged_before_a_sync_that_covers_it_has_returned() {
    nothing_is_acknowledged_before_a_sync(1, SEQUENTIAL).await;
}

#[tokio::test]
async fn no_concurrent_create_is_acknowledged_before_a_sync_that_covers_it_has_returned() {
    nothing_is_acknowledged_before_a_sync(CLIENTS, EACH).await;
}
