//! The guard allocates nothing for a request that passes.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use tower::{Layer, Service};
use tower_credentials::{
    clock::Clock,
    s3::{S3sGuardLayer, VerifiedBody},
};

use crate::{
    aws_signer::Signer,
    counting::allocations,
    gate::{ACCESS, SECRET, Watch, request},
};

/// A store that allocates nothing.
#[derive(Clone)]
struct Store;

impl<B> Service<Request<VerifiedBody<B>>> for Store {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<VerifiedBody<B>>) -> Self::Future {
        ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn passing_request_is_parsed_almost_without_allocating() {
    let clock = Watch::default();
    let guard = S3sGuardLayer::builder().clock(clock.clone()).build().unwrap();
    let mut service = guard.layer(Store);
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
