//! Measures the accesser's anonymous memory after 100,000 and after 1,000,000 creates over HTTP on
//! SQLite.
//!
//! `cargo bench -p accesser --bench memory [-- TOTAL]`. A smaller TOTAL is quicker. The accesser
//! logs at its default level, to /dev/null.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    env, fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use test_support::{
    bench::{
        self,
        clients::{self, Client},
    },
    process::{Program, Server},
};

const ACCESSER: Program = Program { path: env!("CARGO_BIN_EXE_accesser"), keeps_data: true };

/// Runs the accesser with its log in /dev/null.
const WITHOUT_LOG: [&str; 3] = ["sh", "-c", "exec \"$0\" \"$@\" 2>/dev/null"];

const TOTAL: usize = 1_000_000;
const CONNECTIONS: usize = 128;
const SAMPLES_EVERY: Duration = Duration::from_millis(200);

const BODY: &str = r#"{"credential": {"type": "ec2"}}"#;
const TOKENS: [&str; 3] = ["dev-alice", "dev-bob", "dev-carol"];

#[tokio::main]
async fn main() {
    // `cargo bench` adds its own flags.
    let total = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let total = total.map_or(TOTAL, |total| total.parse().expect("a number of creates"));
    let accesser = Server::new(ACCESSER).under(&WITHOUT_LOG).start().await;
    let address = accesser.host().parse().unwrap();
    let mut clients = Vec::new();
    for token in TOKENS.iter().cycle().take(CONNECTIONS) {
        clients.push(Client::connect(address, token, BODY).await);
    }

    println!("creates      creates/s   now, MiB  peak, MiB");
    let (mut done, mut taken) = (0, Vec::new());
    for upto in [total / 10, total] {
        let sampling = tokio::spawn(peak(accesser.id()));
        let started = Instant::now();
        clients = clients::create(clients, upto - done).await;
        let rate = bench::rate(upto - done, started.elapsed());
        sampling.abort();
        let now = anonymous(accesser.id());
        let peak = PEAK.fetch_max(now, Relaxed).max(now);
        println!("{upto:<9} {rate:>12.0} {:>10.1} {:>10.1}", mib(now), mib(peak));
        taken.push(mib(now));
        done = upto;
    }
    let most = mib(PEAK.load(Relaxed));
    println!("peak                      {most:>8.1} MiB   bar: at most 128");
    println!("last / first              {:>8.3}       bar: at most 1.10", taken[1] / taken[0]);
}

/// The maximum of all samples.
static PEAK: AtomicU64 = AtomicU64::new(0);

async fn peak(id: u32) {
    loop {
        PEAK.fetch_max(anonymous(id), Relaxed);
        tokio::time::sleep(SAMPLES_EVERY).await;
    }
}

/// Anonymous memory of a process, in KiB.
fn anonymous(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[allow(clippy::cast_precision_loss, reason = "sizes of a bench")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
