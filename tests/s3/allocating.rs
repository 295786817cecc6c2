//! What a verified request allocates, apart from the futures of the layer and the store.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use test_support::clock::TestClock;
use tokio_test::{assert_ready, task};
use tower::{Layer, Service, service_fn};
use tower_credentials::{
    backend::{CredentialBackend, cached::Cached, memory::MemoryBackend},
    clock::Clock,
    domain::Quota,
    s3::{S3AuthLayer, S3AuthLayerBuilder, VerifiedBody, VerifiedKey},
};

use crate::{
    aws_signer::Signer,
    counting::allocations,
    gate::{ACCESS, SECRET, record, request},
    owners::registry,
};

/// A store that allocates nothing.
fn store(
    request: Request<VerifiedBody<Empty<Bytes>>>,
) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    assert!(request.extensions().get::<VerifiedKey>().is_some());
    drop(request);
    ready(Ok(Response::new(Full::default())))
}

/// Counts the allocations of a GET, a list and a presigned GET with cached keys.
async fn counts(
    set: impl FnOnce(S3AuthLayerBuilder) -> S3AuthLayerBuilder,
) -> [(&'static str, usize); 3] {
    let clock = TestClock::default();
    let keys = Cached::builder(MemoryBackend::default()).clock(clock.clone()).build();
    keys.insert(&Arc::new(record(ACCESS, SECRET)), Quota::Unlimited).await.unwrap();
    let layer = set(S3AuthLayer::builder(keys).clock(clock.clone())).build().unwrap();
    let mut service = layer.layer(service_fn(store));

    let signer = Signer::new(ACCESS, SECRET, clock.now());
    let get = |target: &str| request("GET", target).body(Empty::<Bytes>::new()).unwrap();
    let presigner = signer.clone().presigning(Duration::from_mins(5));
    let mut counts = [
        ("a GET", signer.sign(get("/photos/a-cat.jpg")).0),
        ("a list", signer.sign(get("/photos?list-type=2&prefix=a%2Fb")).0),
        ("a presigned GET", presigner.sign(get("/photos/a-cat.jpg")).0),
    ]
    .map(|(what, signed)| (what, signed, 0));
    for (what, signed, most) in &mut counts {
        // The first request looks up the key and derives the signing key; the next ones copy the
        // record for this thread.
        for round in 0..5 {
            let request = signed.clone();
            let (response, count) = allocations(|| service.call(request));
            let mut response = task::spawn(response);
            if round == 0 {
                let response = response.into_inner().await.unwrap();
                assert_eq!(response.status(), StatusCode::OK, "{what}");
                continue;
            }
            // Later requests do not wait.
            let (response, more) = allocations(|| assert_ready!(response.poll()));
            assert_eq!(response.unwrap().status(), StatusCode::OK, "{what}");
            if round > 2 {
                *most = (*most).max(count + more);
                // A second later the directory's revision confirms its answer.
                clock.advance(Duration::from_secs(1));
            }
        }
    }
    counts.map(|(what, _, most)| (what, most))
}

#[tokio::test]
async fn verified_request_allocates_at_most_five_times() {
    for ((what, count), most) in counts(|builder| builder).await.into_iter().zip([4, 5, 5]) {
        assert!(count <= most, "{what}: {count}");
    }
}

#[tokio::test]
async fn directory_costs_a_known_key_no_allocation() {
    let without = counts(|builder| builder).await;
    let with = counts(|builder| builder.directory(registry())).await;
    assert_eq!(with, without);
}
