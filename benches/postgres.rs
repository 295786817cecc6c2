//! Measures the speed claims of `PostgresBackend`: ratios in one run, on a private server that
//! flushes to its disk.
//!
//! `cargo bench --bench postgres -- [create] [load] [scale] [rows=1000000]` runs the
//! named parts, or all.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    fs,
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use md5::{Digest as _, Md5};
use test_support::{
    bench::{self, table},
    postgres as lab, records,
};
use tokio::sync::Mutex;
use tokio_postgres::{Client, types::ToSql};
use tower_credentials::{
    backend::{
        CredentialBackend, ListQuery, Order, access_key_marker,
        contract::{BulkLoad, MAX_LOAD},
        postgres::PostgresBackend,
    },
    domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, UserId, Version},
};

const CLIENTS: usize = 64;
const KEYS_PER_USER: u64 = 10;
const KEYS_PER_PROJECT: u64 = 1_000;

/// How many connections the clients without batches share.
const PLAIN_CONNECTIONS: usize = 4;

fn main() {
    let words = bench::words();
    let rows = bench::number(&words, "rows").unwrap_or(1_000_000);
    let wanted = |part: &str| bench::wanted(&words, part);

    // A quarter of the machine's memory, as PostgreSQL's manual recommends.
    let buffers = format!("shared_buffers = {}kB", memory() / 4);
    let settings = [
        &*buffers,
        "max_wal_size = 8GB",
        "maintenance_work_mem = 512MB",
        "checkpoint_timeout = 30min",
    ];
    let Some(server) = lab::Server::start(&settings) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("{:<52} {:>11} {:>11} {:>7}  bar", "", "first", "second", "ratio");
    runtime.block_on(async {
        if wanted("create") {
            create(&server).await;
        }
        if wanted("load") {
            load(&server).await;
        }
        if wanted("scale") {
            scale(&server, rows).await;
        }
    });
}

/// Durable creates by 64 clients: pgbench with prepared statements and one connection per client,
/// the backend, and single statements on a few shared connections. Each inserts similar rows into
/// its own table with the same indexes, in alternation. The backend also sends a notification for
/// each change.
async fn create(server: &lab::Server) {
    const ROUNDS: usize = 5;
    const LENGTH: Duration = Duration::from_secs(4);
    let pgbench = Store::new(server).await;
    let plain = Store::new(server).await;
    let script = server.folder().join("insert.sql");
    fs::write(&script, pgbench_script()).unwrap();
    let mut connections = Vec::new();
    for _ in 0..PLAIN_CONNECTIONS {
        connections.push(Arc::new(Mutex::new(lab::connect(&plain.url).await)));
    }
    let mut of_writers = Vec::new();
    for writers in [1, 2] {
        let url = server.database().await;
        let backend = PostgresBackend::builder(url).writers(writers).build().await.unwrap();
        of_writers.push((writers, backend, Vec::new()));
    }

    let (mut of_pgbench, mut of_plain) = (Vec::new(), Vec::new());
    let mut number = 0;
    for round in 0..=ROUNDS {
        let rates = (
            run_pgbench(&pgbench.url, &script, LENGTH),
            plain_creates(&connections, &mut number, LENGTH).await,
        );
        for (_, backend, rates) in &mut of_writers {
            let rate = backend_creates(backend, &mut number, LENGTH).await;
            // The first round warms up.
            if round > 0 {
                rates.push(rate);
            }
        }
        if round > 0 {
            of_pgbench.push(rates.0);
            of_plain.push(rates.1);
        }
    }
    let (of_pgbench, of_plain) = (bench::median(of_pgbench), bench::median(of_plain));
    for (writers, _, rates) in of_writers {
        let rate = bench::median(rates);
        let bar = |bar| if writers == 2 { bar } else { "no bar" };
        let what = format!("creates/s: pgbench, backend with {writers} writers");
        rates_line(&what, of_pgbench, rate, bar("at least 0.80"));
        let what = format!("creates/s: one by one, backend with {writers} writers");
        rates_line(&what, of_plain, rate, bar("at least 5.00"));
    }
}

/// An empty store and its URL.
struct Store {
    url: String,
}

impl Store {
    async fn new(server: &lab::Server) -> Self {
        let url = server.database().await;
        drop(PostgresBackend::open(&url).await.unwrap());
        Self { url }
    }
}

const INSERT: &str = "INSERT INTO credentials (id, kind, user_id, project_id, access_key, \
    material, status, attributes, created_at, updated_at, version) VALUES";

/// The same row as from [`credential`], with digits from the server.
fn pgbench_script() -> String {
    format!(
        "\\set a random(1, 1000000000000000000)\n\\set b random(1, 1000000000000000000)\n\
        {INSERT} (md5(:a::text) || md5(:b::text), 'ec2', md5((:a::bigint / 10)::text), md5((:a::bigint / 1000)::text), \
        md5(:b::text), '{{\"form\":\"pair\",\"secret\":\"' || md5(:a::text) || left(md5(:b::text), 16) \
        || '\"}}', 'Active', '{{}}', 0, 0, :a::bigint);\n"
    )
}

fn run_pgbench(url: &str, script: &Path, length: Duration) -> f64 {
    let mut pgbench = lab::program("pgbench");
    pgbench.args(["-n", "-M", "prepared", "-c", &CLIENTS.to_string(), "-j", "2", "-T"]);
    pgbench.arg(length.as_secs().to_string()).arg("-f").arg(script).arg(url);
    let output = pgbench.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = "));
    rate.unwrap().split(' ').next().unwrap().parse().unwrap()
}

async fn backend_creates(backend: &PostgresBackend, number: &mut u64, length: Duration) -> f64 {
    let backend = backend.clone();
    clients(number, length, move |n| {
        let backend = backend.clone();
        async move { backend.insert(&credential(n).into(), Quota::Unlimited).await.unwrap() }
    })
    .await
}

/// Each statement waits for the previous one on its connection.
async fn plain_creates(
    connections: &[Arc<Mutex<Client>>],
    number: &mut u64,
    length: Duration,
) -> f64 {
    let mut statements = Vec::new();
    let sql = format!("{INSERT} ($1, 'ec2', $2, $3, $4, $5, 'Active', '{{}}', 0, 0, $6)");
    for connection in connections {
        statements.push(connection.lock().await.prepare(&sql).await.unwrap());
    }
    let connections = connections.to_vec();
    clients(number, length, move |n| {
        let turn = usize::try_from(n).unwrap() % connections.len();
        let (connection, statement) = (Arc::clone(&connections[turn]), statements[turn].clone());
        async move {
            let record = credential(n);
            let project = record.project_id.as_ref().unwrap().as_str();
            let key = record.access_key.as_ref().unwrap().as_str();
            let material = record.material.encode();
            let version = record.version.get().cast_signed();
            let (id, user) = (record.id.as_str(), record.user_id.as_str());
            let material = material.expose();
            let values: [&(dyn ToSql + Sync); 6] =
                [&id, &user, &project, &key, &material, &version];
            let done = connection.lock().await.execute(&statement, &values).await;
            assert_eq!(done.unwrap(), 1);
        }
    })
    .await
}

/// All clients create for a while; returns the creates per second.
async fn clients<F>(
    number: &mut u64,
    length: Duration,
    create: impl Fn(u64) -> F + Clone + Send + 'static,
) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let next = Arc::new(AtomicU64::new(*number));
    let started = Instant::now();
    let mut running = Vec::new();
    for _ in 0..CLIENTS {
        let (next, create) = (Arc::clone(&next), create.clone());
        running.push(tokio::spawn(async move {
            while started.elapsed() < length {
                create(next.fetch_add(1, Ordering::Relaxed)).await;
            }
        }));
    }
    for client in running {
        client.await.unwrap();
    }
    let created = next.load(Ordering::Relaxed) - *number;
    *number += created;
    bench::rate(usize::try_from(created).unwrap(), started.elapsed())
}

/// Loads of new rows: PostgreSQL's `COPY` from a file on the server's disk, and the backend's load
/// of records. Each has its own table with the same indexes, in alternation.
async fn load(server: &lab::Server) {
    const ROUNDS: u64 = 7;
    const ROWS: u64 = 20 * MAX_LOAD as u64;
    let (raw, ours) = (Store::new(server).await, Store::new(server).await);
    let client = lab::connect(&raw.url).await;
    let backend = PostgresBackend::open(&ours.url).await.unwrap();
    let file = server.folder().join("rows.txt");
    let (mut of_copy, mut of_backend, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let records: Vec<Arc<Credential>> =
            (round * ROWS..(round + 1) * ROWS).map(|n| credential(n).into()).collect();
        fs::write(&file, table::lines(records.iter().map(|it| &**it))).unwrap();
        lab::give_to_server(&file);
        let count = usize::try_from(ROWS).unwrap();

        let started = Instant::now();
        client.batch_execute(&table::copy_from(file.to_str().unwrap())).await.unwrap();
        let copied = bench::rate(count, started.elapsed());

        let started = Instant::now();
        for part in records.chunks(MAX_LOAD) {
            black_box(backend.load(part).await.unwrap());
        }
        let loaded = bench::rate(count, started.elapsed());
        if round > 0 {
            of_copy.push(copied);
            of_backend.push(loaded);
            ratios.push(loaded / copied);
        }
    }
    let (copied, loaded) = (bench::median(of_copy), bench::median(of_backend));
    rates_line("rows/s loaded: COPY, backend", copied, loaded, "at least 0.80");
    println!("{:<52} {:>31.2}", "  median of the rounds' ratios", bench::median(ratios));
    size("a store that grew", &client, ROUNDS * ROWS).await;
}

/// A lookup and a page among few records and among many.
async fn scale(server: &lab::Server, rows: u64) {
    const FEW: u64 = 10_000;
    let small = filled(server, FEW).await;
    let large = filled(server, rows).await;
    for (what, queries) in [("look-up", 1_000_u32), ("page of 10", 500), ("page of 100", 200)] {
        const ROUNDS: usize = 15;
        let mut times = [Vec::new(), Vec::new()];
        let mut dice = 1_u64;
        for round in 0..=ROUNDS {
            for (i, (backend, rows)) in [(&small, FEW), (&large, rows)].into_iter().enumerate() {
                // The first round warms up: the larger store needs more of it.
                let repeats = if round == 0 { (rows / 100_000).clamp(1, 100) } else { 1 };
                let started = Instant::now();
                for _ in 0..u64::from(queries) * repeats {
                    dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    query(backend, what, (dice >> 20) % rows).await;
                }
                if round > 0 {
                    times[i].push(started.elapsed().as_secs_f64() / f64::from(queries));
                }
            }
        }
        let [small, large] = times.map(bench::median);
        let what = format!("{what}: {FEW} rows, {rows} rows");
        let micros = |seconds: f64| format!("{:.0} µs", seconds * 1e6);
        let (first, second, ratio) = (micros(small), micros(large), large / small);
        println!("{what:<52} {first:>11} {second:>11} {ratio:>7.2}  at most 1.50");
    }
}

async fn query(backend: &PostgresBackend, what: &str, n: u64) {
    let mut list = ListQuery::new(Order::Key);
    match what {
        "look-up" => {
            let found = backend.find_by_access_key(&access_key(n)).await.unwrap();
            assert!(black_box(found).is_some());
            return;
        }
        "page of 10" => list.user_id = Some(user_id(n)),
        _ => {
            list = list.with_limit(100);
            list.project_id = Some(project_id(n));
            // After a key that is likely among the first ones of the project.
            list.after = Some(access_key_marker(&format!("{:x}", n % 8)));
        }
    }
    black_box(backend.list(&list).await.unwrap());
}

/// A store with this many rows. The server creates the rows, and then the indexes.
async fn filled(server: &lab::Server, rows: u64) -> PostgresBackend {
    let store = Store::new(server).await;
    let client = lab::connect(&store.url).await;
    let started = Instant::now();
    let indexes = "SELECT indexname, indexdef FROM pg_indexes
        WHERE tablename = 'credentials' AND indexname <> 'credentials_by_id'";
    let indexes = client.query(indexes, &[]).await.unwrap();
    for index in &indexes {
        let name: &str = index.get(0);
        client.batch_execute(&format!("DROP INDEX {name}")).await.unwrap();
    }
    client
        .batch_execute("ALTER TABLE credentials DROP CONSTRAINT credentials_by_id")
        .await
        .unwrap();
    let fill = format!(
        "INSERT INTO credentials (id, kind, user_id, project_id, access_key, material, status, \
            attributes, created_at, updated_at, version)
        SELECT md5('i' || n) || md5('j' || n), 'ec2', md5('u' || n / {KEYS_PER_USER}), \
            md5('p' || n / {KEYS_PER_PROJECT}), md5('k' || n), '{{\"form\":\"pair\",\"secret\":\"' \
            || md5('s' || n) || left(md5('t' || n), 16) || '\"}}', 'Active', '{{}}', 0, 0, n
        FROM generate_series(0, {}) AS n",
        rows - 1
    );
    client.batch_execute(&fill).await.unwrap();
    let primary = "ALTER TABLE credentials ADD CONSTRAINT credentials_by_id PRIMARY KEY (id)";
    client.batch_execute(primary).await.unwrap();
    for index in &indexes {
        client.batch_execute(index.get(1)).await.unwrap();
    }
    client.batch_execute("VACUUM ANALYZE credentials").await.unwrap();
    eprintln!("created {rows} rows in {:.1?}", started.elapsed());
    size("a store that was made at once", &client, rows).await;
    PostgresBackend::open(store.url).await.unwrap()
}

/// The memory of this machine in KiB.
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with("MemTotal:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The disk space of a store.
async fn size(what: &str, client: &Client, rows: u64) {
    let sql = "SELECT pg_total_relation_size('credentials'), pg_table_size('credentials')";
    let row = client.query_one(sql, &[]).await.unwrap();
    let (whole, table): (i64, i64) = (row.get(0), row.get(1));
    let rows_in = i64::try_from(rows).unwrap();
    let of_million = |bytes: i64| bytes * 1_000_000 / rows_in / (1 << 20);
    println!(
        "{what}, {rows} rows: {} MiB for a million, {} of them indexes",
        of_million(whole),
        of_million(whole - table)
    );
}

fn credential(n: u64) -> Credential {
    let (secret, key) = (md5('s', n) + &md5('t', n)[..16], access_key(n));
    let (project, user) = (project_id(n), user_id(n));
    let mut credential = records::pair_in(project.as_str(), user.as_str(), key.as_str(), &secret);
    credential.id = CredentialId::from_stored(md5('i', n) + &md5('j', n));
    credential.version = Version::from_stored(n);
    credential
}

fn access_key(n: u64) -> AccessKey {
    AccessKey::from_stored(md5('k', n))
}

fn user_id(n: u64) -> UserId {
    UserId::from_stored(md5('u', n / KEYS_PER_USER))
}

fn project_id(n: u64) -> ProjectId {
    ProjectId::from_stored(md5('p', n / KEYS_PER_PROJECT))
}

/// 32 hex digits that look random, like real ids and keys, and that the server can generate too.
fn md5(of: char, n: u64) -> String {
    data_encoding::HEXLOWER.encode(&Md5::digest(format!("{of}{n}")))
}

fn rates_line(what: &str, first: f64, second: f64, bar: &str) {
    println!("{what:<52} {first:>11.0} {second:>11.0} {:>7.2}  {bar}", second / first);
}
