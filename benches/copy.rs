//! What a copy between two stores costs beside the raw load of the same records: ratios
//! measured in one run.
//!
//! `cargo bench --bench copy -- [records]`, 200,000 unless said.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod common;
#[path = "../examples/credentials/load.rs"]
#[allow(dead_code, reason = "the tool uses all of it")]
mod load;
#[path = "../examples/credentials/outcome.rs"]
#[allow(dead_code, reason = "the tool uses all of it")]
mod outcome;
#[path = "../examples/credentials/patience.rs"]
mod patience;
#[path = "../examples/common/store/mod.rs"]
mod store;
#[path = "../examples/credentials/transfer.rs"]
#[allow(dead_code, reason = "the tool uses all of it")]
mod transfer;
#[path = "../examples/credentials/walk.rs"]
#[allow(dead_code, reason = "the tool uses all of it")]
mod walk;

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use common::{engine, median, rate};
use tower_credentials::{
    backend::{BulkLoad, CredentialBackend, MAX_LOAD, sqlite::SqliteBackend},
    domain::{
        AccessKey, Credential, CredentialId, Kind, Material, ProjectId, SecretKey, UserId, Version,
    },
};

use crate::transfer::{Copying, Side};

/// What is compared takes turns, so that a busy machine slows both down.
const ROUNDS: usize = 5;

fn main() {
    // `cargo bench` adds flags of its own.
    let mut counts = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let count: usize = counts.next().unwrap_or(200_000);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);

    let mut records: Vec<_> = (0..count as u64).map(record).collect();
    records.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    let source = SqliteBackend::open(path("source.db")).unwrap();
    runtime.block_on(fill(&source, &records));
    let source = Arc::new(source);
    let source = Side { keys: Arc::clone(&source) as _, usage: Some(source) };
    let rows: Vec<engine::Row> = records.into_iter().map(Into::into).collect();

    let (mut of_raw, mut of_copies, mut of_repeats) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (raw, target_path) = (path("raw.db"), path("target.db"));
        let engine = engine::open(&raw);
        let started = Instant::now();
        for part in rows.chunks(MAX_LOAD) {
            engine::commit(&engine, part);
        }
        of_raw.push(rate(count, started.elapsed()));
        drop(engine);

        let target = Arc::new(SqliteBackend::open(&target_path).unwrap());
        of_copies.push(rate(count, runtime.block_on(copy(&source, &target, count, 0))));
        of_repeats.push(rate(count, runtime.block_on(copy(&source, &target, 0, count))));
        drop(target);
        assert_eq!(engine::content(&raw), engine::content(&target_path), "not the same work");
        remove(&raw);
        remove(&target_path);
    }
    let (raw, copied, again) = (median(of_raw), median(of_copies), median(of_repeats));
    println!("{count} records, in transactions of {MAX_LOAD}, records a second");
    println!("{:<44} {:>9} {:>7}  bar", "", "", "ratio");
    println!("{:<44} {raw:>9.0}", "the engine alone, rows ready");
    println!(
        "{:<44} {copied:>9.0} {:>7.2}  at least 0.80",
        "copy from store to store",
        copied / raw
    );
    println!("{:<44} {again:>9.0} {:>7.2}", "the same copy again, all there", again / raw);
}

/// How long a copy takes that finds so many new and old records.
async fn copy(
    from: &Side<dyn CredentialBackend>,
    to: &Arc<SqliteBackend>,
    stored: usize,
    there: usize,
) -> Duration {
    let started = Instant::now();
    let to = Side { keys: Arc::clone(to) as _, usage: Some(Arc::clone(to) as _) };
    let mut copying = Copying::new(from, to);
    copying.run(|_| ()).await.unwrap();
    let took = started.elapsed();
    let tally = copying.loader.tally();
    assert_eq!((tally.stored, tally.already_there), (stored as u64, there as u64));
    took
}

async fn fill(store: &SqliteBackend, records: &[Credential]) {
    for part in records.chunks(MAX_LOAD) {
        let part: Vec<_> = part.iter().cloned().map(Arc::new).collect();
        store.load(&part).await.unwrap();
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

/// Odd, so that all access keys differ, and spread over their index.
const MIX: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

fn remove(store: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", store.display()));
    }
}
