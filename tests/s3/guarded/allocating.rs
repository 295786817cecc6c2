//! The guard allocates nothing for a request that passes.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use test_support::clock::TestClock;
use tower::{Layer, Service, service_fn};
use tower_credentials::{
    clock::Clock,
    s3::{S3sGuardLayer, VerifiedBody},
};

use crate::{
    aws_signer::Signer,
    counting::allocations,
    gate::{ACCESS, SECRET, request},
};

/// A store that allocates nothing.
fn store(
    _: Request<VerifiedBody<Empty<Bytes>>>,
) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::new(Full::default())))
}

#[tokio::test]
async fn passing_request_is_parsed_almost_without_allocating() {
    let clock = TestClock::default();
    let guard = S3sGuardLayer::builder().clock(clock.clone()).build().unwrap();
    let mut service = guard.layer(service_fn(store));
    let signer = Signer::new(ACCESS, SECRET, clock.now());
    let presigning = signer.clone().presigning(Duration::from_mins(5));
    let get = || request("GET", "/photos/a-cat.jpg").body(Empty::<Bytes>::new()).unwrap();
    for (what, signed, most) in [
        ("a request without a signature", get(), 0),
        ("a GET", signer.sign(get()).0, 0),
        // The credential and the list of headers are escaped.
        ("a presigned GET", presigning.sign(get()).0, 2),
    ] {
        // The first request creates the buffer that the others reuse.
        for round in 0..3 {
            let request = signed.clone();
            let (response, count) = allocations(|| service.call(request));
            assert_eq!(response.await.unwrap().status(), 200, "{what}");
            assert!(round == 0 || count <= most, "{what}: {count}");
        }
    }
}
