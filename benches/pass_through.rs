//! Measures the instructions that the layer adds to other requests: an axum app alone, with the
//! layer, with a layer that does nothing, and with tower-http's `ValidateRequestHeaderLayer`.
//! `Router::layer` itself clones and boxes; around the whole app, the layer costs only its own work.
//!
//! `cargo bench --bench pass_through` (needs valgrind). Each case runs under
//! callgrind with two numbers of requests; the difference is the cost of the requests.

use std::{convert::Infallible, process::Command};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, StatusCode};
use tower::{Layer, Service, ServiceExt, layer::util::Identity};
use tower_credentials::{
    CredentialLayer, auth::StaticTokens, aws::AwsWires, backend::memory::MemoryBackend,
};
use tower_http::validate_request::ValidateRequestHeaderLayer;

const CASES: [&str; 6] = ["bare", "around", "wires", "layer", "nothing", "validate"];
const FEW: u64 = 1_000;
const MANY: u64 = 3_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    if let (Some(case), Some(count)) = (arguments.next(), arguments.next()) {
        return run(&case, count.parse().unwrap());
    }
    let [bare, around, wires, layer, nothing, validate] = CASES.map(|case| {
        let spent = instructions(case, MANY) - instructions(case, FEW);
        spent / (MANY - FEW)
    });
    let [of_around, of_wires, of_layer, of_nothing, of_validate] =
        [around, wires, layer, nothing, validate].map(|all| all.saturating_sub(bare));
    println!("axum app, one GET                      {bare:>6} instructions");
    println!("CredentialLayer around the app adds    {of_around:>6} instructions");
    println!("the same with the AWS wires adds       {of_wires:>6} instructions");
    println!("CredentialLayer adds                   {of_layer:>6} instructions");
    println!("a layer that does nothing adds         {of_nothing:>6} instructions");
    println!("ValidateRequestHeaderLayer adds        {of_validate:>6} instructions");
}

#[tokio::main(flavor = "current_thread")]
async fn run(case: &str, count: u64) {
    let app = Router::new().route("/objects/{name}", get(|| async { StatusCode::NO_CONTENT }));
    let layer = CredentialLayer::new(StaticTokens::new(), MemoryBackend::default());
    match case {
        "around" => send(layer.layer(app.into_service::<Body>()), count).await,
        "wires" => {
            let builder = CredentialLayer::builder(StaticTokens::new(), MemoryBackend::default());
            let layer = builder.aws(AwsWires::new()).build().unwrap();
            send(layer.layer(app.into_service::<Body>()), count).await;
        }
        "layer" => send(app.layer(layer).into_service(), count).await,
        "nothing" => send(app.layer(Identity::new()).into_service(), count).await,
        "validate" => {
            let validate = ValidateRequestHeaderLayer::accept("application/json");
            send(app.layer(validate).into_service(), count).await;
        }
        _ => send(app.into_service(), count).await,
    }
}

async fn send<S, B>(mut app: S, count: u64)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
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
