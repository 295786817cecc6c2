#![allow(clippy::disallowed_methods)]
mod common;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::{convert::Infallible, time::Instant};
use tower::{Layer, Service, service_fn};
use tower_credentials::{
    CredentialLayer, backend::CredentialBackend, backend::memory::MemoryBackend, domain::*,
};
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let layer = CredentialLayer::new(common::tokens(), MemoryBackend::default());
    let mut s = layer.layer(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    for _ in 0..std::env::args().nth(1).map_or(5, |n| n.parse().unwrap_or(5)) {
        let t = Instant::now();
        for _ in 0..8_000 {
            let request = Request::post("/credentials/")
                .header("host", "localhost")
                .header("x-auth-token", common::TOKEN)
                .header("content-type", "application/json")
                .body(Full::from(common::BODY))
                .unwrap();
            let r = s.call(request).await.unwrap();
            assert_eq!(r.status(), 201);
        }
        println!("create {:?}", t.elapsed() / 8_000);
    }
    let b = MemoryBackend::default();
    if std::env::args().nth(1).as_deref() == Some("1") {
        return;
    }
    for _ in 0..3 {
        let t = Instant::now();
        for _ in 0..8_000 {
            let (a, sk) = generate_pair().unwrap();
            let mut c = Credential::new(
                CredentialId::of(&a),
                Kind::ec2(),
                UserId::from_stored("bb5476fd12884539b41d5a88f838d773"),
                Material::KeyPair { secret: Some(sk) },
                std::time::UNIX_EPOCH,
                Version::fresh(),
            );
            c.access_key = Some(a);
            b.insert(&c, Quota::Unlimited).await.unwrap();
        }
        println!("backend {:?}", t.elapsed() / 8_000);
    }
    let t = Instant::now();
    for _ in 0..8_000 {
        std::hint::black_box(generate_pair().unwrap());
    }
    println!("pair {:?}", t.elapsed() / 8_000);
}
