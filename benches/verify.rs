//! Compares the verification of a signed GET with a cached signing key: with the necessary hashes,
//! with the crate `scratchstack-aws-signature`, and with an `s3s` service on an empty store.
//!
//! `cargo bench --bench verify`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response};
use http_body_util::{Empty, Full};
use s3s::{S3, auth::SimpleAuth, service::S3ServiceBuilder};
use scratchstack_aws_signature::{
    GetSigningKeyRequest, GetSigningKeyResponse, KSecretKey, KSigningKey,
    NO_ADDITIONAL_SIGNED_HEADERS, SignatureOptions, sigv4_validate_request,
};
use sha2::{Digest, Sha256};
use test_support::{
    aws_signer::Signer,
    bench::{self, recorder::Atomics},
    records,
};
use tower::{Layer, Service, service_fn};
use tower_credentials::{
    backend::{CredentialBackend, cached::Cached, memory::MemoryBackend},
    directory::{Project, StaticDirectory, User},
    domain::{ProjectId, Quota, SecretKey, UserId},
    s3::{S3AuthLayer, VerifiedBody, VerifiedKey},
    signature::{
        SigningKey,
        request::{RequestHead, SignedRequest},
    },
};

const ACCESS: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const ROUNDS: usize = 4_000;

/// A handler that accepts every verified request.
fn store(
    request: Request<VerifiedBody<Empty<Bytes>>>,
) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    assert!(request.extensions().get::<VerifiedKey>().is_some());
    drop(request);
    ready(Ok(Response::new(Full::default())))
}

/// An empty store.
struct Nothing;

impl S3 for Nothing {}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let now = SystemTime::now();
    let request = Request::get("/photos/2026/11/25/a-picture-of-a-cat.jpg")
        .header("host", "s3.example.org:8338")
        .header(
            "user-agent",
            "aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/linux#6.1 lang/python#3.13",
        )
        .header("accept-encoding", "identity")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let (request, _) = Signer::new(ACCESS, SECRET, now).sign(request);

    let keys = Cached::builder(MemoryBackend::default()).ttl(Duration::from_hours(1)).build();
    keys.insert(
        &Arc::new(records::pair_in(bench::PROJECT, bench::USER, ACCESS, SECRET)),
        Quota::Unlimited,
    )
    .await
    .unwrap();
    let mut layered = S3AuthLayer::new(keys.clone()).layer(service_fn(store));
    let metered = metrics::with_local_recorder(&Atomics, || S3AuthLayer::new(keys.clone()));
    let mut metered = metered.layer(service_fn(store));
    let builder = S3AuthLayer::builder(keys).directory(directory());
    let mut directed = builder.build().unwrap().layer(service_fn(store));

    // The same handler without the layer. It drops the requests, which takes time too.
    let mut bare = service_fn(|request: Request<Empty<Bytes>>| {
        drop(request);
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });

    let mut auth = S3ServiceBuilder::new(Nothing);
    auth.set_auth(SimpleAuth::from_single(ACCESS, SECRET));
    let mut s3s = auth.build();

    let Ok(Some(SignedRequest::V4(signed))) = SignedRequest::parse(RequestHead::from(&request))
    else {
        panic!("not signed with version 4");
    };
    let key = SigningKey::derive(&SecretKey::from_stored(SECRET), &signed.scope());
    let (canonical, text) = (signed.canonical_request().unwrap(), signed.string_to_sign().unwrap());
    println!("{} bytes of canonical request, {} of string to sign", canonical.len(), text.len());

    let mut arguments = std::env::args().skip_while(|argument| argument != "profile");
    if let Some(count) = arguments.nth(1) {
        // For callgrind: the difference of two numbers of requests.
        for _ in 0..count.parse().unwrap() {
            assert!(layered.call(request.clone()).await.unwrap().status().is_success());
        }
        return;
    }

    let mut took: [Vec<f64>; 7] = Default::default();
    for round in 0..=ROUNDS {
        let started = Instant::now();
        for _ in 0..bench::BATCH {
            black_box(Sha256::digest(black_box(b"")));
            black_box(Sha256::digest(black_box(&canonical)));
            let mut mac = Hmac::<Sha256>::new_from_slice(black_box(&[7; 32])).unwrap();
            mac.update(black_box(&text));
            black_box(mac.finalize().into_bytes());
        }
        let hashing = started.elapsed();

        let started = Instant::now();
        for _ in 0..bench::BATCH {
            let head = RequestHead::from(black_box(&request));
            let Ok(Some(SignedRequest::V4(signed))) = SignedRequest::parse(head) else { panic!() };
            assert!(signed.verify(black_box(&key)).unwrap());
        }
        let pure = started.elapsed();

        let layer = bench::time(&mut layered, &request).await;
        let metered = bench::time(&mut metered, &request).await;
        let directed = bench::time(&mut directed, &request).await;
        let bare = bench::time(&mut bare, &request).await;
        let scratchstack = time_scratchstack(&request, now).await;

        let requests: Vec<_> = (0..bench::BATCH).map(|_| request.clone()).collect();
        let started = Instant::now();
        for request in requests {
            let response = Service::call(&mut s3s, request).await.unwrap();
            // The request reached the store.
            assert_eq!(black_box(response).status(), 501);
        }
        let s3s = started.elapsed();

        if round > 0 {
            let [layer, metered, directed] =
                [layer, metered, directed].map(|took| took.saturating_sub(bare));
            let all = [hashing, pure, layer, metered, directed, scratchstack, s3s];
            for (took, time) in took.iter_mut().zip(all) {
                took.push(time.as_secs_f64() * 1e9 / bench::BATCH_F64);
            }
        }
    }
    let [hashing, pure, layer, metered, directed, scratchstack, s3s] = took.map(bench::median);
    println!("two SHA-256 and one HMAC                {hashing:>8.0} ns");
    println!("parsed and verified                     {pure:>8.0} ns");
    println!("S3AuthLayer adds, key from Cached       {layer:>8.0} ns");
    println!("the same with a recorder of metrics     {metered:>8.0} ns");
    println!("the same with a directory               {directed:>8.0} ns");
    println!("scratchstack-aws-signature              {scratchstack:>8.0} ns");
    println!("s3s over an empty store                 {s3s:>8.0} ns");
    println!("layer / hashes: {:.2}   bar: at most 2.20", layer / hashing);
    println!("S3AuthLayer with a recorder / without: {:.3}   bar: at most 1.030", metered / layer);
    println!("layer / scratchstack: {:.3}   bar: at most 0.500", layer / scratchstack);
    println!("layer / s3s: {:.3}   bar: at most 0.500", layer / s3s);
}

/// The same with the other crate, which also gets the signing key.
async fn time_scratchstack(request: &Request<Empty<Bytes>>, now: SystemTime) -> Duration {
    let kept = Arc::new(OnceLock::new());
    let requests: Vec<_> = (0..bench::BATCH).map(|_| request.clone().map(|_| ())).collect();
    let started = Instant::now();
    for request in requests {
        let kept: Arc<OnceLock<KSigningKey>> = Arc::clone(&kept);
        let mut keys = service_fn(move |request: GetSigningKeyRequest| {
            let derive = || {
                let secret: KSecretKey = SECRET.parse().unwrap();
                secret.to_ksigning(request.request_date(), request.region(), request.service())
            };
            let key = *kept.get_or_init(derive);
            ready(GetSigningKeyResponse::builder().signing_key(key).build().map_err(Into::into))
        });
        let answer = sigv4_validate_request(
            request,
            "us-east-1",
            "s3",
            &mut keys,
            now.into(),
            &NO_ADDITIONAL_SIGNED_HEADERS,
            SignatureOptions::S3,
        );
        black_box(answer.await.unwrap());
    }
    started.elapsed()
}

/// A directory in which the key's owner is a member of the project.
fn directory() -> StaticDirectory {
    let user = UserId::new(bench::USER).unwrap();
    let project = ProjectId::new(bench::PROJECT).unwrap();
    StaticDirectory::new()
        .with_member(user.clone(), project.clone(), ["member"])
        .with_user(User::new(user, "user"))
        .with_project(Project::new(project, "project"))
}
