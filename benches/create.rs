//! Compares an IBM create through the layer on `MemoryBackend` with a bare hyper handler. The
//! handler parses the same body with `serde_json` and returns the same bytes. Both are on loopback,
//! in alternation.
//!
//! `cargo bench --bench create`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{convert::Infallible, error::Error, time::Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use test_support::bench;
use tower::{Layer, Service, service_fn};
use tower_credentials::{CredentialLayer, backend::memory::MemoryBackend};

const CONNECTIONS: usize = 32;
const EACH: usize = 250;
const ROUNDS: usize = 21;

const ANSWER: &str = r#"{"credential":{"user_id":"bb5476fd12884539b41d5a88f838d773","blob":{"access":"b21b3d4ab81c09e29738e86d1840f37f","secret":"79473fd444eecbc036e5ddc9108f3d78b38974f8d1236ddc","status":"Active"},"project_id":"731fc6f265cd486d900f16e84c5cb594","type":"ec2","subject_ibm_id":"IBMid-61KR43CAFF","id":"b21b3d4ab81c09e29738e86d1840f37f","created_at":"2026-11-22T23:29:52Z"}}
"#;

async fn bare(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let parsed: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(parsed["credential"]["type"], "ec2");
    let response = Response::builder()
        .status(StatusCode::CREATED)
        .header("content-type", "application/json; charset=utf-8")
        .header("cache-control", "no-store")
        .header("date", "Sun, 22 Nov 2026 23:29:52 GMT")
        .header("x-trans-id", "tx1865dd5d069a5ec061626-006b037af0")
        .header("x-timestamp", "1795390192.10222")
        .body(Full::from(ANSWER));
    Ok(response.unwrap())
}

async fn app(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::default()))
}

#[tokio::main]
async fn main() {
    let (mut rates, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..=ROUNDS {
        // New servers and connections in each round.
        let of_bare = creates_a_second(service_fn(bare)).await;
        let layer = CredentialLayer::new(bench::tokens(), MemoryBackend::default());
        let of_layer = creates_a_second(layer.layer(service_fn(app))).await;
        if round > 0 {
            rates[0].push(of_bare);
            rates[1].push(of_layer);
            ratios.push(of_layer / of_bare);
        }
    }
    let [of_bare, of_layer] = rates.map(bench::median);
    println!("bare hyper handler        {of_bare:>9.0} creates/s");
    println!("layer on MemoryBackend    {of_layer:>9.0} creates/s");
    println!("ratio, median of pairs    {:>9.2}   bar: at least 0.90", bench::median(ratios));
}

async fn creates_a_second<S, B>(service: S) -> f64
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (address, accepting) = bench::serve(service).await;
    let mut connections = bench::connections(address, CONNECTIONS).await;
    assert_eq!(bench::create(&mut connections[0]).await, ANSWER.len());
    connections = bench::create_on_all(connections, EACH / 10).await;
    let started = Instant::now();
    connections = bench::create_on_all(connections, EACH).await;
    let rate = bench::rate(CONNECTIONS * EACH, started.elapsed());
    drop(connections);
    accepting.abort();
    rate
}
