//! An IBM create through the layer on `MemoryBackend`, beside a bare hyper
//! handler that parses the same body with `serde_json` and answers the same
//! bytes; over loopback, in turns.
//!
//! `cargo bench --bench create`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod common;

use std::{convert::Infallible, time::Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use tower::{Layer, service_fn};
use tower_credentials::{CredentialLayer, backend::memory::MemoryBackend};

const CONNECTIONS: usize = 32;
const EACH: usize = 250;
const ROUNDS: usize = 21;

const ANSWER: &str = r#"{"credential":{"user_id":"bb5476fd12884539b41d5a88f838d773","blob":{"access":"b21b3d4ab81c09e29738e86d1840f37f","secret":"79473fd444eecbc036e5ddc9108f3d78b38974f8d1236ddc","status":"Active"},"project_id":"731fc6f265cd486d900f16e84c5cb594","type":"ec2","subject_ibm_id":"IBMid-61KR43CAFF","id":"b21b3d4ab81c09e29738e86d1840f37f"}}
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
    let bare = common::serve(service_fn(bare)).await;
    let mut bare = common::connections(bare, CONNECTIONS).await;

    let (mut rates, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..=ROUNDS {
        // A new store each time, so that every round fills the same one.
        let layer = CredentialLayer::new(common::tokens(), MemoryBackend::default());
        let layered = common::serve(layer.layer(service_fn(app))).await;
        let mut layered = common::connections(layered, CONNECTIONS).await;
        let (a, b) = (common::create(&mut bare[0]).await, common::create(&mut layered[0]).await);
        assert_eq!(a, b, "the two answers differ in length");

        let started = Instant::now();
        bare = common::create_on_all(bare, EACH).await;
        let of_bare = common::rate(CONNECTIONS * EACH, started.elapsed());
        let started = Instant::now();
        common::create_on_all(layered, EACH).await;
        let of_layer = common::rate(CONNECTIONS * EACH, started.elapsed());
        if round > 0 {
            rates[0].push(of_bare);
            rates[1].push(of_layer);
            ratios.push(of_layer / of_bare);
        }
    }
    let [of_bare, of_layer] = rates.map(common::median);
    println!("bare hyper handler        {of_bare:>9.0} creates/s");
    println!("layer on MemoryBackend    {of_layer:>9.0} creates/s");
    println!("ratio, median of pairs    {:>9.2}   bar: at least 0.80", common::median(ratios));
}
