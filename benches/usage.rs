//! Compares the cost of recording a use with that of the signature check, and measures how reports
//! slow down creates.
//!
//! `cargo bench --bench usage`. Recording is measured on one thread and on as
//! many as there are cores, with one key and with many. Results are per use and thread.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use test_support::{bench, records};
use tower_credentials::{
    backend::{CredentialBackend, sqlite::SqliteBackend},
    domain::{Credential, CredentialId, Quota, SecretKey},
    usage::{UsageLog, UsageRecorder},
};

const USES: u32 = 2_000_000;
const CREATES: usize = 20_000;
const CLIENTS: usize = 64;
const ACTIVE: usize = 10_000;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteBackend::open(folder.path().join("credentials.db")).unwrap();
    record_uses(&store);
    report(&store).await;
}

/// The time to record a use.
fn record_uses(store: &SqliteBackend) {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let message = [7; 256];
    let signature = per_use(1, |_, _| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"a signing key of thirty-two byte").unwrap();
        mac.update(black_box(&message));
        black_box(mac.finalize());
    });
    println!("an HMAC over 256 bytes             {signature:>8.0} ns");
    for (keys, what) in [(1, "one key"), (10_000, "10,000 keys")] {
        let keys: Vec<_> = (0..keys).map(|n| key(&format!("key-{n}"))).collect();
        for threads in [1, cores] {
            let recorder = UsageRecorder::new(store.clone());
            let took = per_use(threads, |n, thread| {
                let key = &keys[(n as usize + thread * 997) % keys.len()];
                // The clock advances by a second every thousand uses.
                recorder.used(key, at(u64::from(n / 1_000)));
            });
            let ratio = took / signature;
            println!("{what:<14} on {threads:>2} thread(s)   {took:>8.1} ns   {ratio:.3} HMACs");
        }
    }
}

/// The nanoseconds per call, on each of this many threads.
fn per_use(threads: usize, work: impl Fn(u32, usize) + Sync) -> f64 {
    let started = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            let work = &work;
            scope.spawn(move || (0..USES).for_each(|n| work(n, thread)));
        }
    });
    started.elapsed().as_secs_f64() * 1e9 / f64::from(USES)
}

/// Creates with and without concurrent reports of 10,000 active keys.
async fn report(store: &SqliteBackend) {
    let active: Vec<_> = (0..ACTIVE).map(|n| key(&format!("active-{n}"))).collect();
    create(store, active.clone()).await;
    let started = Instant::now();
    for (second, batch) in active.chunks(UsageRecorder::BATCH).zip(0..).map(|(b, s)| (s, b)) {
        store.record(&uses(batch, second)).await.unwrap();
    }
    let took = started.elapsed();
    println!("a report of {ACTIVE} keys            {:>8.1} ms", took.as_secs_f64() * 1e3);

    let mut rates = [Vec::new(), Vec::new()];
    for round in 0..3 {
        for (reporting, rates) in [false, true].into_iter().zip(&mut rates) {
            let name = |n| format!("new-{round}-{reporting}-{n}");
            let fresh = (0..CREATES).map(|n| key(&name(n))).collect();
            let done = Arc::new(AtomicBool::new(!reporting));
            let reports = tokio::spawn(keep_reporting(store.clone(), active.clone(), done.clone()));
            let started = Instant::now();
            create(store, fresh).await;
            rates.push(bench::rate(CREATES, started.elapsed()));
            done.store(true, Relaxed);
            reports.await.unwrap();
        }
    }
    let [without, with] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!("creates/s without reports          {without:>8.0}");
    println!("creates/s, 10,000 keys each second {with:>8.0}      {:.3}", with / without);
}

/// Reports all keys every second, as a recorder does every minute.
async fn keep_reporting(store: SqliteBackend, keys: Vec<Credential>, done: Arc<AtomicBool>) {
    let mut second = 1_000;
    while !done.load(Relaxed) {
        for batch in keys.chunks(UsageRecorder::BATCH) {
            store.record(&uses(batch, second)).await.unwrap();
        }
        second += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn uses(keys: &[Credential], second: u64) -> Vec<(CredentialId, SystemTime)> {
    keys.iter().map(|key| (key.id.clone(), at(second))).collect()
}

async fn create(store: &SqliteBackend, keys: Vec<Credential>) {
    let share = keys.len().div_ceil(CLIENTS);
    let clients: Vec<_> = keys
        .chunks(share)
        .map(|keys| {
            let (store, keys) = (store.clone(), keys.to_vec());
            tokio::spawn(async move {
                for key in keys {
                    store.insert(&Arc::new(key), Quota::Unlimited).await.unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

fn key(access: &str) -> Credential {
    records::pair("bob", access, SecretKey::generate().unwrap().expose())
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
}
