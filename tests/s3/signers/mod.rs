//! Requests signed by four independent implementations.

mod aws;
mod botocore;
mod meaning;
mod object_store;
mod random;
mod rusty_s3;

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_credentials::{
    backend::CredentialBackend,
    clock::{Clock, SystemClock},
    domain::Quota,
};

use crate::gate::{Gate, record};

/// A gate that also has this key.
async fn gate_with(access: &str, secret: &str) -> Gate {
    let gate = Gate::with(|builder| builder.signature_v2(true)).await;
    gate.backend.insert(&Arc::new(record(access, secret)), Quota::Unlimited).await.unwrap();
    gate
}

/// The same with the system clock, which some signers read.
async fn gate_of_today(access: &str, secret: &str) -> Gate {
    let gate = gate_with(access, secret).await;
    gate.clock.set(SystemClock.now());
    gate
}

/// A request to this URL, with the host in its header.
fn request_to(method: &str, url: &str) -> http::request::Builder {
    let uri: http::Uri = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
    let host = uri.authority().unwrap().as_str().to_owned();
    let target = uri.path_and_query().unwrap().clone();
    Request::builder().method(method).uri(http::Uri::from(target)).header("host", host)
}

fn full(bytes: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(bytes.into())
}
