//! Measures the speed claims of `SqliteBackend`: ratios in one run.
//!
//! `cargo bench --bench sqlite -- [lookup] [list] [insert]` runs the named parts, or all three. `--
//! scale [rows=10000000]` compares lookups and pages among 10,000 and this many records. Ten
//! million records take some minutes and 6 GB.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use test_support::bench::{
    self, engine,
    rows::{Dice, KEYS_PER_USER, access_key, credential, median, user_of},
};
use tower_credentials::{
    backend::{CredentialBackend, ListQuery, Order, sqlite::SqliteBackend},
    domain::{Credential, Quota},
};

const SMALL: u64 = 1_000;
const LARGE: u64 = 1_000_000;

/// The rounds of a comparison. The compared cases alternate, so that a busy machine slows down
/// both.
const ROUNDS: usize = 21;

fn main() {
    let words = bench::words();
    let wanted = |part: &str| bench::wanted(&words, part);
    let runtime = tokio::runtime::Runtime::new().unwrap();

    println!("{:<44} {:>11} {:>11} {:>7}  bar", "", "first", "second", "ratio");
    if words.iter().any(|word| word == "scale") {
        scale(&runtime, bench::number(&words, "rows").unwrap_or(10_000_000));
        return;
    }
    if wanted("lookup") || wanted("list") {
        let folder = tempfile::tempdir().unwrap();
        let few = (filled(&folder.path().join("small.db"), SMALL), SMALL);
        let many = (filled(&folder.path().join("large.db"), LARGE), LARGE);
        if wanted("lookup") {
            runtime.block_on(lookup(&few, &many, "at most 2.00"));
        }
        if wanted("list") {
            runtime.block_on(list(&few, &many, "at most 2.00"));
        }
    }
    if wanted("insert") {
        insert(&runtime);
    }
}

/// Compares ten thousand records with this many.
fn scale(runtime: &tokio::runtime::Runtime, rows: u64) {
    const FEW: u64 = 10_000;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let few = (filled(&folder.path().join("few.db"), FEW), FEW);
    let many = (filled(&folder.path().join("many.db"), rows), rows);
    runtime.block_on(async {
        lookup(&few, &many, "at most 1.50").await;
        list(&few, &many, "at most 1.50").await;
    });
}

/// A store and the number of its records.
type Filled = (SqliteBackend, u64);

/// A lookup by access key among few and among many records.
async fn lookup(small: &Filled, large: &Filled, bar: &str) {
    const LOOKUPS: u64 = 1_000;
    let mut dice = Dice(1);
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (i, (backend, rows)) in [small, large].into_iter().enumerate() {
            let rows = *rows;
            // The first round warms up: the larger file needs more of it.
            let repeats = if round == 0 { (rows / 10_000).max(1) } else { 1 };
            for _ in 0..repeats {
                let keys: Vec<_> = (0..LOOKUPS).map(|_| access_key(dice.below(rows))).collect();
                let started = Instant::now();
                for key in &keys {
                    let found = backend.find_by_access_key(key).await.unwrap();
                    assert!(black_box(found).is_some());
                }
                if round > 0 {
                    times[i].push(started.elapsed() / u32::try_from(LOOKUPS).unwrap());
                }
            }
        }
    }
    let what = format!("lookup: {} rows, {} rows", small.1, large.1);
    let [small, large] = times.map(median);
    report(&what, small, large, bar);
}

/// A page of a user with 10 keys among few and among many records of others.
async fn list(small: &Filled, large: &Filled, bar: &str) {
    const LISTS: u64 = 300;
    let mut dice = Dice(2);
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (i, (backend, rows)) in [small, large].into_iter().enumerate() {
            let rows = *rows;
            let started = Instant::now();
            for _ in 0..LISTS {
                let mut query = ListQuery::new(Order::Key);
                query.user_id = Some(user_of(dice.below(rows)));
                let page = backend.list(&query).await.unwrap();
                assert_eq!(black_box(page).credentials.len() as u64, KEYS_PER_USER);
            }
            if round > 0 {
                times[i].push(started.elapsed() / u32::try_from(LISTS).unwrap());
            }
        }
    }
    let what = format!("list of 10: {} rows, {} rows", small.1, large.1);
    let [small, large] = times.map(median);
    report(&what, small, large, bar);
}

/// Durable inserts: SQLite alone with 64 rows per transaction, the backend with 64 callers, and
/// SQLite with one row per transaction.
fn insert(runtime: &tokio::runtime::Runtime) {
    const CALLERS: usize = 64;
    const BATCHES: u64 = 32;
    const ROWS: u64 = CALLERS as u64 * BATCHES;

    let folder = tempfile::tempdir().unwrap();
    let raw = |name: &str| engine::open(&folder.path().join(name));
    let (batched, single) = (raw("batched.db"), raw("single.db"));
    let backend = SqliteBackend::open(folder.path().join("backend.db")).unwrap();

    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..7 {
        let rows: Vec<_> = (round * ROWS..(round + 1) * ROWS).map(credential).collect();
        let ready: Vec<engine::Row> = rows.iter().cloned().map(Into::into).collect();
        let per_row =
            |started: Instant, rows: u64| started.elapsed() / u32::try_from(rows).unwrap();

        let started = Instant::now();
        for batch in ready.chunks(CALLERS) {
            engine::commit(&batched, batch);
        }
        times[0].push(per_row(started, ROWS));

        let started = Instant::now();
        runtime.block_on(insert_concurrently(&backend, &rows, CALLERS));
        times[1].push(per_row(started, ROWS));

        let few = &ready[..ready.len() / 8];
        let started = Instant::now();
        for row in few {
            engine::commit(&single, [row]);
        }
        times[2].push(per_row(started, few.len() as u64));
    }
    let [batched, backend, single] = times.map(median);
    report("insert: engine by 64, backend for 64 callers", batched, backend, "at most 2.00");
    report("insert: backend for 64, engine one by one", backend, single, "at least 3.00");
}

/// Each caller inserts every n-th row, so that about the same rows are flushed together as with
/// inserts in order.
async fn insert_concurrently(backend: &SqliteBackend, rows: &[Credential], callers: usize) {
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let backend = backend.clone();
            let rows: Vec<_> = rows.iter().skip(caller).step_by(callers).cloned().collect();
            tokio::spawn(async move {
                for row in &rows {
                    backend.insert(&row.clone().into(), Quota::Unlimited).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

/// A store with this many rows, loaded without the backend in few transactions.
fn filled(path: &Path, rows: u64) -> SqliteBackend {
    const ROWS_A_TRANSACTION: u64 = 100_000;
    let started = Instant::now();
    let connection = engine::open(path);
    connection.execute_batch("PRAGMA cache_size = -400000; PRAGMA synchronous = OFF").unwrap();
    // Created after the load, which is much faster.
    let indexes = engine::without_indexes(&connection);
    for first in (0..rows).step_by(usize::try_from(ROWS_A_TRANSACTION).unwrap()) {
        let last = (first + ROWS_A_TRANSACTION).min(rows);
        let rows: Vec<engine::Row> = (first..last).map(|n| credential(n).into()).collect();
        engine::commit(&connection, &rows);
    }
    connection.execute_batch(&indexes).unwrap();
    drop(connection);
    let size = std::fs::metadata(path).unwrap().len() >> 20;
    eprintln!("loaded {rows} rows, {size} MiB, in {:.1?}", started.elapsed());
    SqliteBackend::open(path).unwrap()
}

fn report(what: &str, first: Duration, second: Duration, bar: &str) {
    let ratio = second.as_secs_f64() / first.as_secs_f64();
    println!("{what:<44} {first:>11.2?} {second:>11.2?} {ratio:>7.2}  {bar}");
}
