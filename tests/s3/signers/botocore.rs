//! Amazon's own code for Python, with its four signers for S3.

use std::{path::Path, process::Command};

use data_encoding::BASE64;
use serde_json::Value;
use tower_credentials::{
    clock::{Clock, SystemClock},
    s3::Mechanism,
};

use super::{full, gate_of_today, request_to};
use crate::installed::{has, python};

const COUNT: usize = 400;

/// The requests that the script beside this file signs.
fn signed(seed: u64) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/s3/signers/sign.py");
    let mut command = Command::new(python());
    let output = command.arg(script).args([COUNT.to_string(), seed.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

async fn send(line: &Value) -> (Mechanism, bool) {
    let text = |name: &str| line[name].as_str().unwrap();
    let gate = gate_of_today(text("access"), text("secret")).await;
    let mut request = request_to(text("method"), text("url"));
    for header in line["headers"].as_array().unwrap() {
        request = request.header(header[0].as_str().unwrap(), header[1].as_str().unwrap());
    }
    let body = BASE64.decode(text("body").as_bytes()).unwrap();
    let request = request.body(full(body.clone())).unwrap();
    let answer = gate.send(request).await;
    assert!(answer.status.is_success(), "{line}\n{:?} {}", answer.code, answer.body);
    let reached = answer.verified();
    assert_eq!(reached.body.unwrap(), body, "{line}");
    let key = reached.key.unwrap();
    assert_eq!(key.access_key().as_str(), text("access"));
    let hashed = matches!(key.payload(), tower_credentials::signature::request::Payload::Hash(_));
    (key.mechanism(), hashed)
}

#[tokio::test]
async fn botocore_requests_of_every_signer_verify() {
    let mut probe = Command::new(python());
    if !has("Python with botocore", probe.args(["-c", "import botocore"])) {
        return;
    }
    let now = SystemClock.now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let (mut seen, lines) = (Vec::new(), signed(now.as_secs()));
    assert_eq!(lines.len(), COUNT);
    for line in &lines {
        let (mechanism, hashed) = send(line).await;
        let how = match mechanism {
            Mechanism::HeaderV4 => "header-v4",
            Mechanism::QueryV4 => "query-v4",
            Mechanism::HeaderV2 => "header-v2",
            Mechanism::QueryV2 => "query-v2",
            other => panic!("{other:?}"),
        };
        assert_eq!(line["how"], how);
        seen.push((how, hashed));
    }
    // Some bodies are not signed even in the header.
    assert!(seen.contains(&("header-v4", true)) && seen.contains(&("header-v4", false)));
}
