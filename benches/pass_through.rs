//! Measures the instructions that the layer adds to other requests: an axum app alone, with the
//! layer, and with tower-http's `ValidateRequestHeaderLayer`.
//!
//! `cargo bench --bench pass_through` (needs valgrind). Each case runs under
//! callgrind with two numbers of requests; the difference is the cost of the requests.

use std::process::Command;

use axum::{Router, body::Body, routing::get};
use http::{Request, StatusCode};
use tower::{Service, ServiceExt};
use tower_credentials::{CredentialLayer, auth::StaticTokens, backend::memory::MemoryBackend};
use tower_http::validate_request::ValidateRequestHeaderLayer;

const CASES: [&str; 3] = ["bare", "layer", "validate"];
const FEW: u64 = 1_000;
const MANY: u64 = 3_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    if let (Some(case), Some(count)) = (arguments.next(), arguments.next()) {
        return run(&case, count.parse().unwrap());
    }
    let [bare, layer, validate] = CASES.map(|case| {
        let spent = instructions(case, MANY) - instructions(case, FEW);
        spent / (MANY - FEW)
    });
    let (of_layer, of_validate) = (layer.saturating_sub(bare), validate.saturating_sub(bare));
    println!("axum app, one GET                      {bare:>6} instructions");
    println!("CredentialLayer adds                   {of_layer:>6} instructions");
    println!("ValidateRequestHeaderLayer adds        {of_validate:>6} instructions");
}

#[tokio::main(flavor = "current_thread")]
async fn run(case: &str, count: u64) {
    let app = Router::new().route("/objects/{name}", get(|| async { StatusCode::NO_CONTENT }));
    let app = match case {
        "layer" => {
            let layer = CredentialLayer::new(StaticTokens::new(), MemoryBackend::default());
            app.layer(layer)
        }
        "validate" => app.layer(ValidateRequestHeaderLayer::accept("application/json")),
        _ => app,
    };
    let mut app = app.into_service::<Body>();
    for _ in 0..count {
        let request = Request::get("/objects/a-name")
            .header("accept", "application/json")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=key/20261122/us-east-1/s3")
            .body(Body::empty())
            .unwrap();
        let response = app.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }
}

/// The instructions of this program for one case.
fn instructions(case: &str, count: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([case, &count.to_string()])
        .output()
        .expect("valgrind is needed: apt-get install valgrind");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    collected.expect("callgrind prints the instructions").1.trim().parse().unwrap()
}
