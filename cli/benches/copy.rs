//! Compares `credentials copy` from SQLite to SQLite and to PostgreSQL with the raw load of the
//! same records into the target. The ratios are measured in one run.
//!
//! `cargo bench -p tower-credentials-cli --all-features --bench copy -- [sqlite] [postgres]
//! [records]` The default is both targets and 200,000 records.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    fs,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use serde_json::Value;
use test_support::{
    bench::{engine, median, rate, table},
    postgres as lab,
};
use tower_credentials::{
    backend::{
        Order,
        contract::{BulkLoad, MAX_LOAD},
        postgres::PostgresBackend,
        sqlite::SqliteBackend,
    },
    domain::{
        AccessKey, Credential, CredentialId, Kind, Material, ProjectId, SecretKey, UserId, Version,
    },
};

/// The compared loads alternate, so that a busy machine slows down both.
const ROUNDS: usize = 5;

fn main() {
    // `cargo bench` adds flags of its own.
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let count: usize =
        arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let both = !named("sqlite") && !named("postgres");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();

    let mut records: Vec<_> = (0..count as u64).map(record).collect();
    records.sort_by_key(|record| Order::Key.marker(record));
    let source = folder.path().join("source.db");
    runtime.block_on(fill(&SqliteBackend::open(&source).unwrap(), &records));
    let source = format!("sqlite:{}", source.display());

    println!("{count} records, in transactions of {MAX_LOAD}, records per second");
    println!("{:<44} {:>9} {:>7}  bar", "", "", "ratio");
    if both || named("sqlite") {
        into_sqlite(&source, &records, folder.path());
    }
    if both || named("postgres") {
        runtime.block_on(into_postgres(&source, &records));
    }
}

fn into_sqlite(source: &str, records: &[Credential], folder: &Path) {
    let rows: Vec<engine::Row> = records.iter().cloned().map(Into::into).collect();
    let (raw, target_path) = (folder.join("raw.db"), folder.join("target.db"));
    let mut rates = Rates::new(rows.len());
    for _ in 0..ROUNDS {
        let engine = engine::open(&raw);
        let started = Instant::now();
        for batch in rows.chunks(MAX_LOAD) {
            engine::commit(&engine, batch);
        }
        rates.raw(started.elapsed());
        drop(engine);

        rates.copy(source, &format!("sqlite:{}", target_path.display()));
        assert_eq!(engine::content(&raw), engine::content(&target_path), "the stores differ");
        remove(&raw);
        remove(&target_path);
    }
    rates.report("SQLite, rows ready, one transaction each");
}

/// Starts a server that flushes to its disk. The raw load is one COPY from a file.
async fn into_postgres(source: &str, records: &[Credential]) {
    let Some(server) = lab::Server::start(&["shared_buffers = 1GB", "max_wal_size = 8GB"]) else {
        return;
    };
    let file = server.folder().join("rows.txt");
    fs::write(&file, table::lines(records)).unwrap();
    lab::give_to_server(&file);
    let copy_from = table::copy_from(file.to_str().unwrap());
    let content = "SELECT count(*) || ' ' || sum(hashtextextended(credentials::text, 0))
        FROM credentials";
    let mut rates = Rates::new(records.len());
    for _ in 0..ROUNDS {
        let (raw, target) = (server.database().await, server.database().await);
        drop(PostgresBackend::open(&*raw).await.unwrap());
        let client = lab::connect(&raw).await;
        let started = Instant::now();
        client.batch_execute(&copy_from).await.unwrap();
        rates.raw(started.elapsed());

        rates.copy(source, &target);
        let both = [client, lab::connect(&target).await];
        let mut contents = Vec::new();
        for client in both {
            contents.push(client.query_one(content, &[]).await.unwrap().get::<_, String>(0));
        }
        assert_eq!(contents[0], contents[1], "the stores differ");
    }
    rates.report("PostgreSQL's COPY from a file");
}

/// How many records per second were loaded, copied, and skipped.
struct Rates {
    count: usize,
    of_raw: Vec<f64>,
    of_copies: Vec<f64>,
    of_repeats: Vec<f64>,
}

impl Rates {
    fn new(count: usize) -> Self {
        Self { count, of_raw: Vec::new(), of_copies: Vec::new(), of_repeats: Vec::new() }
    }

    fn raw(&mut self, took: Duration) {
        self.of_raw.push(rate(self.count, took));
    }

    /// Copies into an empty store, and a second time.
    fn copy(&mut self, from: &str, to: &str) {
        let count = self.count as u64;
        self.of_copies.push(rate(self.count, copy(from, to, count, 0)));
        self.of_repeats.push(rate(self.count, copy(from, to, 0, count)));
    }

    fn report(self, engine: &str) {
        let [raw, copied, again] = [self.of_raw, self.of_copies, self.of_repeats].map(median);
        println!("{engine:<44} {raw:>9.0}");
        let ratio = copied / raw;
        println!("{:<44} {copied:>9.0} {ratio:>7.2}  at least 0.80", "  copy into it");
        println!(
            "{:<44} {again:>9.0} {:>7.2}",
            "  the same copy again, nothing to store",
            again / raw
        );
    }
}

/// Runs the tool's copy, checks how many records it stored and skipped, and returns its duration.
fn copy(from: &str, to: &str, stored: u64, skipped: u64) -> Duration {
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_credentials"))
        .args(["--json", "copy", from, to])
        .output()
        .unwrap();
    let took = started.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["stored"], &report["already_there"]), (&stored.into(), &skipped.into()));
    took
}

async fn fill(store: &SqliteBackend, records: &[Credential]) {
    for batch in records.chunks(MAX_LOAD) {
        let batch: Vec<_> = batch.iter().cloned().map(Arc::new).collect();
        store.load(&batch).await.unwrap();
    }
}

fn record(n: u64) -> Credential {
    let access_key = AccessKey::from_stored(format!("{:032x}", u128::from(n).wrapping_mul(MIX)));
    let secret = Some(SecretKey::from_stored(format!("{n:048x}")));
    let mut record = Credential::new(
        CredentialId::of(&access_key),
        Kind::ec2(),
        UserId::from_stored(format!("{:032x}", n / 10)),
        Material::KeyPair { secret },
        UNIX_EPOCH + Duration::from_secs(1_790_000_000 + n),
        Version::from_stored(n),
    );
    record.access_key = Some(access_key);
    record.project_id = Some(ProjectId::from_stored(format!("{:032x}", n / 1_000)));
    record
}

/// Odd, so that all access keys differ. Spreads them over their index.
const MIX: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

fn remove(store: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", store.display()));
    }
}
