//! Metrics of the data plane.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use test_support::{aws_signer::Signer, clock::TestClock, records};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    backend::{CredentialBackend, cached::Cached, memory::MemoryBackend},
    clock::Clock,
    domain::Quota,
    s3::{Anonymous, S3AuthLayer, VerifiedBody},
};

use crate::recorder::Recorded;

struct Gate {
    recorded: Recorded,
    layer: S3AuthLayer,
    clock: TestClock,
}

impl Gate {
    async fn new(anonymous: Anonymous) -> Self {
        let (recorded, clock) = (Recorded::default(), TestClock::default());
        let keys = Cached::builder(MemoryBackend::default()).clock(clock.clone()).build();
        let record = Arc::new(records::pair_in("demo", "alice", "key-1", "a-secret"));
        keys.insert(&record, Quota::Unlimited).await.unwrap();
        let builder = S3AuthLayer::builder(keys).clock(clock.clone()).anonymous(anonymous);
        let layer = recorded.within(|| builder.build()).unwrap();
        Self { recorded, layer, clock }
    }

    fn signer(&self, access: &str, secret: &str) -> Signer {
        Signer::new(access, secret, self.clock.now())
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> u16 {
        let response = self.layer.layer(service_fn(store)).oneshot(request).await.unwrap();
        response.status().as_u16()
    }

    fn count(&self, mechanism: &str, outcome: &str) -> f64 {
        let name = "tower_credentials_verifications_total";
        let series = format!("{name}{{mechanism=\"{mechanism}\",outcome=\"{outcome}\"}}");
        self.recorded.value(&series)
    }
}

fn store(
    _: Request<VerifiedBody<Full<Bytes>>>,
) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::new(Full::default())))
}

fn get(path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(path).header("host", "s3.example.org");
    request.body(Full::default()).unwrap()
}

#[test]
fn verification_makes_exactly_one_call_of_the_recorder() {
    let gate = tokio_test::block_on(Gate::new(Anonymous::Refuse));
    let (before, registrations) = gate.recorded.calls();
    // The recorder is there during the requests, and would see a new handle.
    gate.recorded.within(|| {
        tokio_test::block_on(async {
            let signer = gate.signer("key-1", "a-secret");
            // The first request looks up the key; the others find it in memory.
            for sent in 1..=5 {
                assert_eq!(gate.send(signer.sign(get("/photos/cat")).0).await, 200);
                assert_eq!(gate.recorded.calls(), (before + sent, registrations));
            }
        });
    });
    assert!((gate.count("header_v4", "ok") - 5.0).abs() < 0.1);
}

#[tokio::test]
async fn verifications_are_counted_by_mechanism_and_outcome() {
    let gate = Gate::new(Anonymous::Refuse).await;
    let good = gate.signer("key-1", "a-secret");
    let presigner = good.clone().presigning(Duration::from_mins(5));
    assert_eq!(gate.send(presigner.sign(get("/photos/cat")).0).await, 200);
    let wrong = gate.signer("key-1", "another-secret");
    assert_eq!(gate.send(wrong.sign(get("/photos/cat")).0).await, 403);
    let unknown = gate.signer("key-2", "a-secret");
    assert_eq!(gate.send(unknown.sign(get("/photos/cat")).0).await, 403);
    let unsigned = get("/photos/cat");
    assert_eq!(gate.send(unsigned).await, 403);
    let mut malformed = get("/photos/cat");
    malformed.headers_mut().insert("authorization", "AWS4-HMAC-SHA256 x".parse().unwrap());
    assert_eq!(gate.send(malformed).await, 400);
    let early = good.sign(get("/photos/cat")).0;
    gate.clock.advance(Duration::from_hours(1));
    assert_eq!(gate.send(early).await, 403);
    for (mechanism, outcome) in [
        ("query_v4", "ok"),
        ("header_v4", "wrong_signature"),
        ("header_v4", "unknown_key"),
        ("none", "denied"),
        ("header_v4", "malformed"),
        ("header_v4", "wrong_time"),
    ] {
        let count = gate.count(mechanism, outcome);
        assert!((count - 1.0).abs() < 0.1, "{mechanism} {outcome}: {count}");
    }
    assert_eq!(gate.recorded.used().len(), 6, "{:?}", gate.recorded.used());
}

#[tokio::test]
async fn request_without_a_signature_that_is_admitted_counts_as_none_and_ok() {
    let gate = Gate::new(Anonymous::Pass).await;
    assert_eq!(gate.send(get("/photos/cat")).await, 200);
    assert!((gate.count("none", "ok") - 1.0).abs() < 0.1);
}
