//! Compares small GETs through the gateway with and without verification. Without it, the handler
//! gets a stored `VerifiedKey`.
//!
//! `cargo bench -p object-gateway --bench gateway`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    convert::Infallible,
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use http::Request;
use hyper::body::Incoming;
use object_gateway::{gateway::Gateway, store::Store};
use test_support::{
    aws_signer::Signer,
    bench::{self, load::Connection},
};
use tower::{Layer, service_fn};
use tower_credentials::{
    backend::{CredentialBackend, cached::Cached, memory::MemoryBackend},
    domain::{
        AccessKey, Credential, CredentialId, Kind, Material, ProjectId, Quota, SecretKey, UserId,
        Version,
    },
    s3::{S3AuthLayer, VerifiedBody, VerifiedKey},
};

const ACCESS: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const CONNECTIONS: usize = 4;
const REQUESTS: usize = 5_000;
const ROUNDS: usize = 21;

#[tokio::main]
async fn main() {
    let keys = Cached::new(MemoryBackend::default());
    keys.insert(&Arc::new(record()), Quota::Unlimited).await.unwrap();

    // The layer's `VerifiedKey`, for the server without the layer.
    let signer: Arc<OnceLock<VerifiedKey>> = Arc::default();
    let gateway = Gateway::new(Store::new(1 << 30), None);
    let (handler, kept) = (gateway.clone(), Arc::clone(&signer));
    let verified = service_fn(move |request: Request<VerifiedBody<Incoming>>| {
        kept.get_or_init(|| request.extensions().get::<VerifiedKey>().unwrap().clone());
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.respond(request).await) }
    });
    let (with, _) = bench::serve(S3AuthLayer::new(keys).layer(verified)).await;
    let bare = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(signer.get().unwrap().clone());
        let handler = gateway.clone();
        async move { Ok::<_, Infallible>(handler.respond(request).await) }
    });
    let (without, _) = bench::serve(bare).await;

    let mut connection = Connection::open(with).await;
    assert_eq!(connection.send(&signed(with, "PUT", "/photos", b"")).await, 200);
    assert_eq!(connection.send(&signed(with, "PUT", "/photos/cat", &[b'x'; 1024])).await, 200);

    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        // The same bytes to both, but for the port in `Host`.
        let bare = load(without, signed(without, "GET", "/photos/cat", b"")).await;
        let verified = load(with, signed(with, "GET", "/photos/cat", b"")).await;
        if round > 0 {
            ratios.push(bare.as_secs_f64() / verified.as_secs_f64());
        }
        if round == ROUNDS {
            let rate = |took| bench::rate(CONNECTIONS * REQUESTS, took);
            println!("GETs/s without and with: {:.0} {:.0}", rate(bare), rate(verified));
        }
    }
    let ratio = bench::median(ratios);
    println!("GETs a second with verification / without: {ratio:.3}   bar: at least 0.850");
}

/// How long the requests take on all connections.
async fn load(address: SocketAddr, request: Vec<u8>) -> Duration {
    let request: Arc<[u8]> = request.into();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address).await);
    }
    let started = Instant::now();
    let mut running = Vec::new();
    for mut connection in connections {
        let request = Arc::clone(&request);
        running.push(tokio::spawn(async move {
            for _ in 0..REQUESTS {
                assert_eq!(connection.send(&request).await, 200);
            }
        }));
    }
    for running in running {
        running.await.unwrap();
    }
    started.elapsed()
}

/// A signed request as it goes over the wire.
fn signed(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let request = Request::builder().method(method).uri(path).header("host", address.to_string());
    let signer = Signer::new(ACCESS, SECRET, SystemTime::now()).body(body);
    let (request, _) = signer.sign(request.body(()).unwrap());
    let mut text = format!("{method} {path} HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in request.headers() {
        write!(text, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

fn record() -> Credential {
    let access = AccessKey::new(ACCESS).unwrap();
    let mut record = Credential::new(
        CredentialId::of(&access),
        Kind::ec2(),
        UserId::new(bench::USER).unwrap(),
        Material::KeyPair { secret: Some(SecretKey::new(SECRET).unwrap()) },
        SystemTime::now(),
        Version::fresh(),
    );
    record.project_id = Some(ProjectId::new(bench::PROJECT).unwrap());
    record.access_key = Some(access);
    record
}
