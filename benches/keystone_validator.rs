//! Compares a cached token validation with the minimum: the hash of the token.
//!
//! `cargo bench --bench keystone_validator`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{hint::black_box, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;
use sha2::{Digest, Sha256};
use test_support::bench;
use tower::service_fn;
use tower_credentials::{
    auth::{Presented, TokenValidator},
    domain::SecretText,
    keystone::{KeystoneClient, KeystoneValidator, ServiceLogin},
};

const CALLS: usize = 200_000;
const ROUNDS: usize = 9;

#[tokio::main]
async fn main() {
    let (address, _) = bench::serve(service_fn(keystone)).await;
    let login = ServiceLogin::password("front", "open-sesame", "service");
    let client = KeystoneClient::builder(format!("http://{address}")).login(login).build().unwrap();
    let validator: Arc<dyn TokenValidator> = Arc::new(KeystoneValidator::new(client));
    // As long as a Fernet token with a project scope.
    let token = "gAAAAABn".to_owned() + &"x".repeat(176);
    let presented = Presented::Token(SecretText::new(token.clone()));
    validator.validate(&presented).await.unwrap();

    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let started = Instant::now();
        for _ in 0..CALLS {
            black_box(Sha256::digest(black_box(token.as_bytes())));
        }
        let hashing = started.elapsed();
        let started = Instant::now();
        for _ in 0..CALLS {
            black_box(validator.validate(black_box(&presented)).await.unwrap());
        }
        let validating = started.elapsed();
        if round > 0 {
            ratios.push(validating.as_secs_f64() / hashing.as_secs_f64());
        }
    }
    let ratio = bench::median(ratios);
    println!("a cached validation / SHA-256 of the token: {ratio:.2}   bar: at most 3.00");
}

/// A minimal Keystone.
async fn keystone(
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let logs_in = request.method() == Method::POST;
    let body = json!({ "token": {
        "methods": ["password"],
        "user": { "id": bench::USER, "name": "alice", "domain": { "id": "default", "name": "Default" } },
        "project": { "id": bench::PROJECT, "name": "demo", "domain": { "id": "default", "name": "Default" } },
        "roles": [{ "id": "r", "name": "member" }],
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "expires_at": "2126-01-01T00:00:00.000000Z",
    } });
    let mut response = Response::new(Full::from(body.to_string()));
    if logs_in {
        *response.status_mut() = StatusCode::CREATED;
        response.headers_mut().insert("x-subject-token", "service".parse().unwrap());
    }
    Ok(response)
}
