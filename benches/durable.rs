//! Compares durable IBM creates by 64 clients through the layer on `SqliteBackend` with raw inserts
//! of the same rows into SQLite, with 64 rows per transaction and one. Each round has new files, in
//! alternation.
//!
//! `cargo bench --bench durable`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{path::Path, time::Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use test_support::{
    bench::{
        self,
        clients::{self, Client},
        engine,
    },
    records,
};
use tower::{Layer, service_fn};
use tower_credentials::{CredentialLayer, backend::sqlite::SqliteBackend, domain::Credential};

const CLIENTS: usize = 64;
const CREATES: usize = CLIENTS * 150;
const ROUNDS: usize = 15;

#[tokio::main]
async fn main() {
    let (mut rates, mut ratios) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    for round in 0..=ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let (http, batched, single) = (file("http.db"), file("batched.db"), file("single.db"));

        let of_engine = engine_alone(&batched, CLIENTS);
        let of_layer = over_http(&http).await;
        let of_single = engine_alone(&single, 1);
        for other in [batched, single] {
            assert_eq!(engine::content(&http), engine::content(&other), "the same was written");
        }
        // The first round warms up.
        if round > 0 {
            let rate_of = [of_engine, of_layer, of_single];
            let ratio_of = [of_layer / of_engine, of_layer / of_single, of_engine / of_single];
            rates.iter_mut().zip(rate_of).for_each(|(rates, rate)| rates.push(rate));
            ratios.iter_mut().zip(ratio_of).for_each(|(ratios, ratio)| ratios.push(ratio));
        }
    }
    let [of_engine, of_layer, of_single] = rates.map(bench::median);
    let [share, gain, most] = ratios.map(bench::median);
    println!("engine, 64 rows per transaction      {of_engine:>9.0} rows/s");
    println!("creates over HTTP, 64 clients        {of_layer:>9.0} creates/s");
    println!("engine, one row per transaction      {of_single:>9.0} rows/s");
    println!("HTTP / engine by 64, median of pairs {share:>9.2}   bar: at least 0.80");
    println!("HTTP / engine one by one             {gain:>9.2}   no bar");
    println!("engine by 64 / engine one by one     {most:>9.2}   what this disk allows");
}

async fn over_http(path: &Path) -> f64 {
    let backend = SqliteBackend::open(path).unwrap();
    let app = |_: Request<Incoming>| async { Ok(Response::new(Full::<Bytes>::default())) };
    let layer = CredentialLayer::new(bench::tokens(), backend);
    let service = layer.layer(service_fn::<_>(app));
    let (address, accepting) = bench::serve(service).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::connect(address, bench::TOKEN, bench::BODY).await);
    }
    let started = Instant::now();
    let clients = clients::create(clients, CREATES).await;
    let rate = bench::rate(CREATES, started.elapsed());
    drop(clients);
    accepting.abort();
    rate
}

fn engine_alone(path: &Path, rows_a_transaction: usize) -> f64 {
    let rows: Vec<engine::Row> = (0..CREATES).map(|_| new_key().into()).collect();
    let connection = engine::open(path);
    let started = Instant::now();
    for batch in rows.chunks(rows_a_transaction) {
        engine::commit(&connection, batch);
    }
    bench::rate(rows.len(), started.elapsed())
}

/// The record that a create with [`bench::BODY`] stores.
fn new_key() -> Credential {
    let mut credential = records::new_pair_in(bench::PROJECT, bench::USER);
    credential.attributes.insert("subject_ibm_id".into(), bench::SUBJECT.into());
    credential
}
