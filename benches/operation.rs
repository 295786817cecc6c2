//! Compares creates with metrics, guessers and audit on with creates without them, through the
//! layer without HTTP, by 64 callers at once: on `MemoryBackend`, and on `SqliteBackend` behind
//! `Cached`, as in the servers. Each round has new stores and files.
//!
//! `cargo bench --all-features --bench operation`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{convert::Infallible, path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use test_support::bench::{self, load, recorder::Atomics};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    CredentialLayer,
    audit::file::{AuditFile, AuditKey},
    backend::{
        CredentialBackend, Measured, cached::Cached, memory::MemoryBackend, sqlite::SqliteBackend,
    },
    guessers::Guessers,
};

const CALLERS: usize = 64;
const KEYS: usize = CALLERS * 60;
const ROUNDS: usize = 9;

/// What is on, besides what was on before.
const CASES: [&str; 4] = ["nothing", "metrics and guessers", "an audit file", "the synced mode"];

#[tokio::main]
async fn main() {
    for store in ["memory", "SQLite"] {
        let (mut times, mut cpus) = ([const { Vec::new() }; 4], [const { Vec::new() }; 4]);
        for round in 0..=ROUNDS {
            let mut measured = [[0.0; 2]; 4];
            for (case, measured) in measured.iter_mut().enumerate() {
                let folder = tempfile::tempdir().unwrap();
                *measured = run(&layer(store, case, folder.path())).await;
            }
            // The first round warms up.
            if round > 0 {
                for case in 0..4 {
                    times[case].push(measured[case][0] / measured[0][0]);
                    cpus[case].push(measured[case][1] / measured[0][1]);
                }
            }
        }
        for (case, name) in CASES.iter().enumerate().skip(1) {
            let time = bench::median(std::mem::take(&mut times[case]));
            let cpu = bench::median(std::mem::take(&mut cpus[case]));
            println!(
                "{store}: creates with {name:<22} {time:>6.2} of the time, {cpu:>6.2} of the CPU"
            );
        }
    }
}

fn layer(store: &str, case: usize, folder: &Path) -> CredentialLayer {
    // Handles are made when the store and the layer are built.
    let build = || {
        let backend: Arc<dyn CredentialBackend> = match store {
            "memory" => Arc::new(MemoryBackend::default()),
            _ => Arc::new(SqliteBackend::open(folder.join("keys.db")).unwrap()),
        };
        let backend: Arc<dyn CredentialBackend> =
            if case > 0 { Arc::new(Measured::new(backend, "bench")) } else { backend };
        let backend: Arc<dyn CredentialBackend> =
            if store == "memory" { backend } else { Arc::new(Cached::new(backend)) };
        let mut layer = CredentialLayer::builder(bench::tokens(), backend);
        if case > 0 {
            layer = layer.guessers(Guessers::new());
        }
        if case > 1 {
            let key = AuditKey::new(&[7; 32]).unwrap();
            let audit = AuditFile::builder(folder.join("audit.log"), key).synced(case > 2);
            layer = layer.audit(audit.open().unwrap());
        }
        layer.build().unwrap()
    };
    if case > 0 { metrics::with_local_recorder(&Atomics, build) } else { build() }
}

/// Creates the keys. Returns the time and the CPU time.
async fn run(layer: &CredentialLayer) -> [f64; 2] {
    let (started, before) = (Instant::now(), load::cpu(std::process::id()));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let layer = layer.clone();
            tokio::spawn(async move {
                for _ in 0..KEYS / CALLERS {
                    create(&layer).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let spent = load::cpu(std::process::id()).saturating_sub(before);
    [started.elapsed(), spent].map(|time| time.as_secs_f64())
}

async fn create(layer: &CredentialLayer) {
    let app = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let request = Request::post("/credentials")
        .header("host", "localhost")
        .header("x-auth-token", bench::TOKEN)
        .header("content-type", "application/json")
        .body(Full::from(bench::BODY))
        .unwrap();
    let response = layer.layer(app).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
}
