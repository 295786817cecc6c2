//! Measures the speed claims of `EtcdBackend`: ratios in one run, on clusters that the bench
//! starts.
//!
//! `cargo bench --bench etcd -- [create] [grow] [records=N]` runs the named parts, or all.
//! `grow` compares 10,000 records with N, by default 100,000.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![allow(clippy::cast_precision_loss, reason = "only some digits are printed")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use test_support::{
    bench::{
        self,
        rows::{Dice, KEYS_PER_USER, access_key, credential, hex, median, user_of},
    },
    etcd,
};
use tower_credentials::{
    backend::{
        CredentialBackend, ListQuery, Order, access_key_marker, contract::BulkLoad,
        etcd::EtcdBackend,
    },
    domain::{Credential, Quota, UserId},
};

use self::etcd::{Cluster, base64};

const CLIENTS: u64 = 64;
const CREATES_EACH: u64 = 50;
/// How often the comparison of full stores is repeated.
const RUNS: usize = 5;
const SMALL: u64 = 10_000;

/// The rounds of a comparison. The compared cases alternate, so that a busy machine slows down
/// both.
const ROUNDS: u64 = 11;

fn main() {
    let words = bench::words();
    let records = bench::number(&words, "records").unwrap_or(100_000);
    let wanted = |part: &str| bench::wanted(&words, part);
    if !etcd::is_installed() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("{:<44} {:>11} {:>11} {:>7}  bar", "", "first", "second", "pairs");
    if wanted("create") {
        runtime.block_on(create());
    }
    if wanted("grow") {
        runtime.block_on(grow(records));
    }
}

/// Durable creates by 64 clients on three members: a bare client with the same prepared
/// transactions, and the backend.
async fn create() {
    let cluster = Cluster::start(3, &[]);
    let backend = EtcdBackend::open(&cluster.url()).await.unwrap();
    let endpoint = cluster.url().split(',').next().unwrap().replace("etcd://", "http://");
    let bare = Client::builder(TokioExecutor::new()).build_http();
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        let of_bare = bare_creates(&bare, &endpoint, 3 * round).await;
        let of_backend = creates(&backend, 3 * round + 1, false).await;
        let of_one_user = creates(&backend, 3 * round + 2, true).await;
        // The first round warms up.
        if round > 0 {
            for (times, time) in times.iter_mut().zip([of_bare, of_backend, of_one_user]) {
                times.push(time);
            }
        }
    }
    let rate =
        |times: &[Duration]| (CLIENTS * CREATES_EACH) as f64 / median(times.to_vec()).as_secs_f64();
    let [bare, many, one] = &times;
    for (what, backend, bar) in [
        ("create by 64: bare client, backend", many, "at least 0.80"),
        ("create by 64 for one user: bare, backend", one, "no bar"),
    ] {
        let ratio = 1.0 / ratio_of_pairs(bare, backend);
        let (bare, backend) = (rate(bare), rate(backend));
        println!("{what:<44} {bare:>9.0}/s {backend:>9.0}/s {ratio:>7.2}  {bar}");
    }
}

/// Whether each client creates for its own users, or all for the same users.
async fn creates(backend: &EtcdBackend, round: u64, for_one_user: bool) -> Duration {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let backend = backend.clone();
            let record = |n| {
                let mut record = of_client(round, client, n);
                if for_one_user {
                    Arc::make_mut(&mut record).user_id = UserId::from_stored(format!("u{round}"));
                }
                record
            };
            let records: Vec<_> = (0..CREATES_EACH).map(record).collect();
            async move {
                for record in &records {
                    backend.insert(record, Quota::AtMost(100_000)).await.unwrap();
                }
            }
        })
        .collect();
    let started = Instant::now();
    let clients: Vec<_> = clients.into_iter().map(tokio::spawn).collect();
    for client in clients {
        client.await.unwrap();
    }
    started.elapsed()
}

type Bare = Client<HttpConnector, Full<Bytes>>;

async fn bare_creates(bare: &Bare, endpoint: &str, round: u64) -> Duration {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (bare, uri) = (bare.clone(), format!("{endpoint}/v3/kv/txn"));
            // All but the revision of the counter, which is in the last response.
            let records: Vec<_> = (0..CREATES_EACH)
                .map(|n| transaction(&of_client(round, client, n), n % KEYS_PER_USER + 1))
                .collect();
            async move {
                let mut revision = String::new();
                for (n, (before, after)) in records.into_iter().enumerate() {
                    if (n as u64).is_multiple_of(KEYS_PER_USER) {
                        revision = "0".into();
                    }
                    let body = format!("{before}{revision}{after}");
                    let request = Request::post(&uri).header(CONTENT_TYPE, "application/json");
                    let request = request.body(Full::from(body)).unwrap();
                    let answer = bare.request(request).await.unwrap().into_body();
                    let answer = answer.collect().await.unwrap().to_bytes();
                    let answer: Value = serde_json::from_slice(&answer).unwrap();
                    assert_eq!(answer["succeeded"], true);
                    revision = answer["header"]["revision"].as_str().unwrap().into();
                }
            }
        })
        .collect();
    let started = Instant::now();
    let clients: Vec<_> = clients.into_iter().map(tokio::spawn).collect();
    for client in clients {
        client.await.unwrap();
    }
    started.elapsed()
}

/// The transaction that stores a record, split where the revision of the counter is inserted.
fn transaction(record: &Credential, held: u64) -> (String, String) {
    let key = |rest: String| base64(&format!("bare/{rest}"));
    let (id, user) = (record.id.as_str(), record.user_id.as_str());
    let project = record.project_id.as_ref().unwrap().as_str();
    let access_key = record.access_key.as_ref().unwrap().as_str();
    let stored = json!({
        "id": id, "kind": "ec2", "user_id": user, "project_id": project,
        "access_key": access_key, "material": record.material.encode().expose(),
        "status": "Active", "created_at": 0, "updated_at": 0, "version": record.version.get(),
    });
    let notification = json!([{"record": {"id": id, "key": access_key}}]);
    let (r, a) = (key(format!("r{id}")), key(format!("a{access_key}")));
    let (q, m) = (key(format!("q{user}")), key("m".into()));
    let (users, projects) =
        (format!("u{}:{user}", user.len()), format!("p{}:{project}", project.len()));
    let require = |key: &str, revision: &str| json!({"result": "EQUAL", "target": "MOD", "key": key, "mod_revision": revision});
    let put = |key: &str, value: &str| json!({"request_put": {"key": key, "value": base64(value)}});
    let range = |key: &str| json!({"request_range": {"key": key}});
    let transaction = json!({
        "compare": [require(&r, "0"), require(&a, "0"), require(&q, "REVISION")],
        "success": [
            put(&r, &stored.to_string()),
            put(&a, id),
            put(&key(format!("{users}a{access_key}")), id),
            put(&key(format!("{projects}a{access_key}")), id),
            put(&q, &held.to_string()),
            put(&m, &notification.to_string()),
        ],
        "failure": [range(&r), range(&a), range(&q)],
    });
    let text = transaction.to_string();
    let (before, after) = text.split_once("REVISION").unwrap();
    (before.into(), after.into())
}

/// Lookups and pages among few and among many records, and their disk space, with one member each.
async fn grow(records: u64) {
    let (small, few) = filled(SMALL).await;
    let (large, many) = filled(records).await;
    let stores = [(&few, SMALL), (&many, records)];
    let mut dice = Dice(1);
    for run in 1..=RUNS {
        println!("run {run} of {RUNS}");
        compare(stores, &mut dice).await;
    }

    for (cluster, records) in [(&small, SMALL), (&large, records)] {
        let size = || {
            let status = cluster.call(0, "/v3/maintenance/status", &json!({})).unwrap();
            let bytes: f64 = status["dbSize"].as_str().unwrap().parse().unwrap();
            bytes / records as f64 * 1e6 / f64::from(1 << 20)
        };
        let grown = size();
        cluster.compact();
        cluster.defragment();
        let memory = cluster.resident_memory(0) as f64 / records as f64 * 1e6 / f64::from(1 << 20);
        println!(
            "a million records, as of {records}: {grown:.0} MiB on the disk as loaded, {:.0} MiB \
             compacted and defragmented; {memory:.0} MiB of a member's memory",
            size()
        );
    }
}

/// Compares lookups and pages of two stores with these numbers of records.
async fn compare(stores: [(&EtcdBackend, u64); 2], dice: &mut Dice) {
    let [(_, few), (_, many)] = stores;
    let names = format!("{few} records, {many} records");
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (times, (backend, records)) in times.iter_mut().zip(stores) {
            let keys: Vec<_> = (0..500).map(|_| access_key(dice.below(records))).collect();
            let started = Instant::now();
            for key in &keys {
                let found = backend.find_by_access_key(key).await.unwrap();
                assert!(black_box(found).is_some());
            }
            if round > 0 {
                times.push(started.elapsed() / 500);
            }
        }
    }
    report(&format!("lookup: {names}"), &times, "at most 1.50");

    for (what, limit) in [("user's page of 10", 10), ("page of 100 of all", 100)] {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            for (times, (backend, records)) in times.iter_mut().zip(stores) {
                let queries: Vec<_> = (0..50)
                    .map(|_| {
                        let n = dice.below(records);
                        let mut query = ListQuery::new(Order::Key).with_limit(limit);
                        if limit == 10 {
                            query.user_id = Some(user_of(n));
                        } else {
                            query.after = Some(access_key_marker(&hex(n)[..4]));
                        }
                        query
                    })
                    .collect();
                let started = Instant::now();
                for query in &queries {
                    let page = backend.list(query).await.unwrap();
                    assert!(!black_box(page).credentials.is_empty());
                }
                if round > 0 {
                    times.push(started.elapsed() / 50);
                }
            }
        }
        report(&format!("{what}: {names}"), &times, "at most 1.50");
    }
}

/// A store with this many records, loaded in bulk.
async fn filled(records: u64) -> (Cluster, EtcdBackend) {
    // With the flags in the backend's documentation.
    let arguments = ["--quota-backend-bytes", "8589934592", "--snapshot-count", "10000"];
    let cluster = Cluster::start(1, &arguments);
    let builder = EtcdBackend::builder(cluster.url()).max_size(8 << 30);
    let backend = builder.timeout(Duration::from_mins(1)).build().await.unwrap();
    let started = Instant::now();
    for first in (0..records).step_by(10_000) {
        let some: Vec<_> =
            (first..records.min(first + 10_000)).map(|n| credential(n).into()).collect();
        backend.load(&some).await.unwrap();
        if first % 100_000 == 0 {
            cluster.compact();
        }
    }
    let rate = records as f64 / started.elapsed().as_secs_f64();
    eprintln!("loaded {records} records in {:.1?}, {rate:.0} per second", started.elapsed());
    (cluster, backend)
}

/// The n-th record of a client with its own users.
fn of_client(round: u64, client: u64, n: u64) -> Arc<Credential> {
    let number = (round * CLIENTS + client) * CREATES_EACH + n;
    credential(number).into()
}

/// The median of the rounds' ratios of the second time to the first.
fn ratio_of_pairs(first: &[Duration], second: &[Duration]) -> f64 {
    let pairs = first.iter().zip(second);
    let mut ratios: Vec<_> = pairs.map(|(first, second)| second.div_duration_f64(*first)).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

fn report(what: &str, [first, second]: &[Vec<Duration>; 2], bar: &str) {
    let ratio = ratio_of_pairs(first, second);
    let (first, second) = (median(first.clone()), median(second.clone()));
    println!("{what:<44} {first:>11.2?} {second:>11.2?} {ratio:>7.2}  {bar}");
}
