//! Guesses from a million networks in a minute.

use std::{convert::Infallible, net::Ipv4Addr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use test_support::{clock::TestClock, counting};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    ClientAddress, CredentialLayer,
    auth::StaticTokens,
    backend::memory::MemoryBackend,
    domain::{Caller, ProjectId, Scope, UserId},
};

use crate::{
    late::{ALLOWED, at_once, from, guessers},
    s3::NAT,
};

#[tokio::test(start_paused = true)]
async fn million_networks_take_no_memory_and_hide_neither_the_guesser_nor_the_owner() {
    let alice =
        Caller::new(UserId::new("alice").unwrap(), Scope::Project(ProjectId::new("demo").unwrap()));
    let alice = alice.with_roles(["key_listing_user"]);
    let guessers = guessers(&TestClock::default());
    let tokens = StaticTokens::new().with_token("open-sesame", "alice", alice);
    let layer = CredentialLayer::builder(tokens, MemoryBackend::default());
    let layer = layer.guessers(guessers.clone()).build().unwrap();
    let service = layer.layer(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let send = async |token: &'static str, source: ClientAddress| {
        let request = Request::get("/credentials").header("x-auth-token", token);
        let request = request.extension(source).body(Full::default()).unwrap();
        let response = at_once(service.clone().oneshot(request)).await;
        response.map(|response| response.unwrap().status().as_u16())
    };
    for _ in 0..ALLOWED {
        assert_eq!(send("guess", from(NAT)).await, Some(401));
    }
    let before = counting::held();
    for network in 0_u32..1_000_000 {
        let [_, a, b, c] = network.to_be_bytes();
        let source = ClientAddress(Ipv4Addr::new(64 + a, b, c, 1).into());
        assert_eq!(send("guess", source).await, Some(401), "{network}");
    }
    let held = counting::held() - before;
    assert!(held < 4_096, "{held} bytes");
    assert_eq!(guessers.stats().failures, 1_000_000 + u64::from(ALLOWED));
    assert_eq!(send("guess", from(NAT)).await, None);
    assert_eq!(send("open-sesame", from(NAT)).await, Some(200));
}
