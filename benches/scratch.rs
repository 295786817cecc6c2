#![allow(clippy::disallowed_methods, missing_docs)]
mod common;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::convert::Infallible;
use tower::{Layer, service_fn};
use tower_credentials::{CredentialLayer, backend::memory::MemoryBackend};
const ANSWER: &str = r#"{"credential":{"user_id":"bb5476fd12884539b41d5a88f838d773","blob":{"access":"b21b3d4ab81c09e29738e86d1840f37f","secret":"79473fd444eecbc036e5ddc9108f3d78b38974f8d1236ddc","status":"Active"},"project_id":"731fc6f265cd486d900f16e84c5cb594","type":"ec2","subject_ibm_id":"IBMid-61KR43CAFF","id":"b21b3d4ab81c09e29738e86d1840f37f"}}
"#;
async fn bare(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
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
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let addr = if std::env::args().nth(1).unwrap() == "bare" {
        common::serve(service_fn(bare)).await
    } else {
        let layer = CredentialLayer::new(common::tokens(), MemoryBackend::default());
        common::serve(layer.layer(service_fn(app))).await
    };
    let c = common::connections(addr, 8).await;
    common::create_on_all(c, n).await;
}
