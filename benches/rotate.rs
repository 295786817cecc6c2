//! Compares rotations with creates, through the layer without HTTP, by 64 callers at once: on
//! `MemoryBackend`, and on `SqliteBackend` behind `Cached`, as in the servers. Each round has new
//! stores.
//!
//! `cargo bench --bench rotate`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use test_support::bench::{self, load};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    CredentialLayer,
    backend::{CredentialBackend, cached::Cached, memory::MemoryBackend, sqlite::SqliteBackend},
};

const CALLERS: usize = 64;
const KEYS: usize = CALLERS * 60;
const ROUNDS: usize = 9;

#[tokio::main]
async fn main() {
    for store in ["memory", "SQLite"] {
        let (mut phases, mut ratios) = ([const { Vec::new() }; 3], [const { Vec::new() }; 4]);
        for round in 0..=ROUNDS {
            let folder = tempfile::tempdir().unwrap();
            let backend: Arc<dyn CredentialBackend> = if store == "memory" {
                Arc::new(MemoryBackend::default())
            } else {
                let keys = SqliteBackend::open(folder.path().join("keys.db")).unwrap();
                Arc::new(Cached::new(keys))
            };
            let layer = CredentialLayer::new(bench::tokens(), backend);
            let paths = vec!["/credentials".to_owned(); KEYS];
            let (creates, keys) = run(&layer, paths, bench::BODY).await;
            // Each key is rotated once, and each rotation adds a key, as a create does.
            let path = |key: String| format!("/credentials/{key}/rotate");
            let overlap = r#"{"overlap_seconds": 3600}"#;
            let paths = keys.into_iter().map(path).collect();
            let (rotations, keys) = run(&layer, paths, overlap).await;
            let paths = keys.into_iter().map(path).collect();
            let (replaced, _) = run(&layer, paths, r#"{"overlap_seconds": 0}"#).await;
            // The first round warms up.
            if round > 0 {
                let [ratio, cpu] =
                    [0, 1].map(|at| [rotations[at], replaced[at]].map(|it| it / creates[at]));
                let all = [ratio[0], ratio[1], cpu[0], cpu[1]];
                ratios.iter_mut().zip(all).for_each(|(ratios, ratio)| ratios.push(ratio));
                let times = [creates, rotations, replaced];
                phases.iter_mut().zip(times).for_each(|(phase, [time, _])| phase.push(time));
            }
        }
        let [creates, rotations, replaced] = phases.map(bench::median);
        let [rotation, replacement, rotation_cpu, replacement_cpu] = ratios.map(bench::median);
        println!("{store}: create               {creates:>9.1} us");
        println!("{store}: rotation             {rotations:>9.1} us");
        println!("{store}: rotation in place    {replaced:>9.1} us");
        println!("{store}: rotation / create    {rotation:>9.2}   bar: at most 1.30");
        println!("{store}: the same in CPU      {rotation_cpu:>9.2}   no bar");
        println!("{store}: in place / create    {replacement:>9.2}   no bar");
        println!("{store}: the same in CPU      {replacement_cpu:>9.2}   no bar");
    }
}

/// Sends a request to each path. Returns the time and the CPU time of one, in microseconds, and the
/// access keys in the responses.
async fn run(
    layer: &CredentialLayer,
    paths: Vec<String>,
    body: &'static str,
) -> ([f64; 2], Vec<String>) {
    let count = paths.len();
    let (started, before) = (Instant::now(), load::cpu(std::process::id()));
    let callers: Vec<_> = paths
        .chunks(count / CALLERS)
        .map(|paths| {
            let (layer, paths) = (layer.clone(), paths.to_vec());
            tokio::spawn(async move {
                let mut bodies = Vec::with_capacity(paths.len());
                for path in paths {
                    bodies.push(send(&layer, &path, body).await);
                }
                bodies
            })
        })
        .collect();
    let mut bodies = Vec::with_capacity(count);
    for caller in callers {
        bodies.extend(caller.await.unwrap());
    }
    let spent = load::cpu(std::process::id()).saturating_sub(before);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(u32::try_from(count).unwrap());
    let times = [each(started.elapsed()), each(spent)];
    let access = |body: Bytes| {
        let answer: Value = serde_json::from_slice(&body).unwrap();
        answer["credential"]["blob"]["access"].as_str().unwrap().to_owned()
    };
    (times, bodies.into_iter().map(access).collect())
}

async fn send(layer: &CredentialLayer, path: &str, body: &'static str) -> Bytes {
    let app = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let request = Request::post(path)
        .header("host", "localhost")
        .header("x-auth-token", bench::TOKEN)
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap();
    let response = layer.layer(app).oneshot(request).await.unwrap();
    assert!(matches!(response.status(), StatusCode::CREATED | StatusCode::OK), "{path}");
    response.into_body().collect().await.unwrap().to_bytes()
}
