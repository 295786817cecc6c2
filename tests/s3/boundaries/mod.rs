//! Keys with a boundary: what the layer lets through.

pub(crate) mod deletions;
mod expiries;
pub(crate) mod forms;
pub(crate) mod pitfalls;
mod vectors;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_credentials::{
    operation::{S3OperationName, S3OperationRules},
    signature::request::S3ErrorCode,
};

use crate::{
    aws_signer::Signer,
    gate::{Answer, Gate},
};

/// A gate to a store of all operations, below the domain `s3.test`.
async fn gate() -> Gate {
    Gate::with(|builder| {
        let operations = S3OperationRules::new().serve(S3OperationName::ALL.iter().copied());
        builder.base_domains(["s3.test"]).operations(operations)
    })
    .await
}

/// The boundary P2: one prefix of one bucket.
pub(crate) fn one_prefix() -> Value {
    json!({"permission": "read-write", "buckets": ["data"], "prefixes": ["team/"]})
}

/// A request line and headers, such as `PUT /data/a | x-amz-acl: private`.
pub(crate) fn request_of(line: &str) -> Request<Full<Bytes>> {
    let mut parts = line.split(" | ");
    let (method, target) = parts.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target);
    let headers = request.headers_mut().unwrap();
    headers.insert("host", HeaderValue::from_static("s3.test"));
    for header in parts {
        let (name, value) = header.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        if name == "host" {
            headers.insert(name, value.parse().unwrap());
        } else {
            headers.append(name, value.parse().unwrap());
        }
    }
    request.body(Full::default()).unwrap()
}

/// Signs a request with alice's key, and sends it.
async fn send(gate: &Gate, line: &str) -> Answer {
    gate.send(signed(&gate.signer(), line)).await
}

/// Signs the request of a line.
pub(crate) fn signed(signer: &Signer, line: &str) -> Request<Full<Bytes>> {
    let mut request = request_of(line);
    // The target is signed in its canonical spelling, as the verifier reads it.
    let target = std::mem::replace(request.uri_mut(), canonical(line).parse().unwrap());
    let (mut request, _) = signer.sign(request);
    *request.uri_mut() = target;
    request
}

/// The target of a line, with each byte in its one spelling.
fn canonical(line: &str) -> String {
    let target = line.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.replace("%2e", ".").replace('+', "%2B");
    let query = query.replace('+', "%20").replace(';', "%3B").replace("%61", "a");
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// Checks that the response is S3's refusal, and does not repeat the boundary.
#[track_caller]
fn assert_outside(answer: &Answer, line: &str) {
    assert!(answer.reached.is_none(), "{line}: reached the store");
    assert_eq!(answer.code, Some(S3ErrorCode::AccessDenied), "{line}: {}", answer.body);
    if line.starts_with("HEAD") {
        assert_eq!(answer.body, "", "{line}");
    } else {
        assert!(answer.body.contains("<Code>AccessDenied</Code>"), "{line}: {}", answer.body);
    }
}
