//! Keys with an expiry.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::Full;
use test_support::clock::TestClock;
use tower_credentials::{
    backend::{CredentialBackend, cached::Cached, memory::MemoryBackend},
    clock::Clock,
    domain::{AccessKey, Quota},
    s3::S3AuthLayer,
    signature::request::S3ErrorCode,
};

use super::{request_of, send};
use crate::gate::{ACCESS, Gate, SECRET, record, request};

#[tokio::test]
async fn expired_key_looks_like_one_that_does_not_exist() {
    for (hidden, code) in
        [(false, S3ErrorCode::InvalidAccessKeyId), (true, S3ErrorCode::SignatureDoesNotMatch)]
    {
        let gate = Gate::with(|builder| builder.hide_unknown_keys(hidden)).await;
        let end = gate.clock.now() + Duration::from_mins(1);
        gate.change(|key| key.terms.set_expires_at(Some(end))).await;
        send(&gate, "GET /b/k").await.verified();
        gate.clock.advance(Duration::from_micros(59_999_999));
        send(&gate, "GET /b/k").await.verified();
        gate.clock.advance(Duration::from_micros(1));
        send(&gate, "GET /b/k").await.refused(code);
        // A clock that jumps back revives it, as a later expiry does.
        gate.clock.put_back(Duration::from_secs(1));
        send(&gate, "GET /b/k").await.verified();
        gate.clock.advance(Duration::from_hours(1));
        let end = gate.clock.now() + Duration::from_secs(1);
        gate.change(|key| key.terms.set_expires_at(Some(end))).await;
        send(&gate, "GET /b/k").await.verified();
    }
}

#[tokio::test]
async fn key_that_is_cached_as_valid_is_refused_once_it_expires() {
    let (backend, clock) = (MemoryBackend::default(), TestClock::default());
    let mut key = record(ACCESS, SECRET);
    key.terms.set_expires_at(Some(clock.now() + Duration::from_mins(1)));
    backend.insert(&key.into(), Quota::Unlimited).await.unwrap();
    let day = Duration::from_hours(24);
    let cached = Cached::builder(backend.clone()).ttl(day).clock(clock.clone()).build();
    let layer = S3AuthLayer::builder(cached.clone()).clock(clock.clone()).build().unwrap();
    let gate = Gate { backend, clock, layer };
    for _ in 0..3 {
        send(&gate, "GET /b/k").await.verified();
    }
    gate.clock.advance(Duration::from_mins(1));
    send(&gate, "GET /b/k").await.refused(S3ErrorCode::InvalidAccessKeyId);
    assert!(cached.find_by_access_key(&AccessKey::from_stored(ACCESS)).await.unwrap().is_some());
}

#[tokio::test]
async fn presigned_url_ends_with_its_key() {
    let gate = Gate::new().await;
    let end = gate.clock.now() + Duration::from_mins(1);
    gate.change(|key| key.terms.set_expires_at(Some(end))).await;
    let presigned = || {
        let signer = gate.signer().presigning(Duration::from_hours(1));
        signer.sign(request_of("GET /b/k")).0
    };
    gate.send(presigned()).await.verified();
    let url = presigned();
    gate.clock.advance(Duration::from_mins(2));
    gate.send(url).await.refused(S3ErrorCode::InvalidAccessKeyId);
}

#[tokio::test]
async fn upload_that_began_before_the_expiry_ends() {
    // The key is checked when a request begins.
    let gate = Gate::new().await;
    let clock = gate.clock.clone();
    let end = clock.now() + Duration::from_mins(1);
    gate.change(|key| key.terms.set_expires_at(Some(end))).await;
    let unsigned = request("PUT", "/b/k").body(Slow { clock, is_read: false }).unwrap();
    let signer = gate.signer().payload("UNSIGNED-PAYLOAD");
    let reached = gate.send(signer.sign(unsigned).0).await.verified();
    assert_eq!(reached.body.unwrap(), "all of it");
    let next = request("PUT", "/b/k").body(Full::<Bytes>::default()).unwrap();
    gate.send(gate.signer().sign(next).0).await.refused(S3ErrorCode::InvalidAccessKeyId);
}

/// A body during which the key expires.
#[derive(Debug)]
struct Slow {
    clock: TestClock,
    is_read: bool,
}

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_read {
            return Poll::Ready(None);
        }
        self.is_read = true;
        self.clock.advance(Duration::from_hours(1));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"all of it")))))
    }
}
