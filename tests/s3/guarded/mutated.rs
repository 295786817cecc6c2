//! The mutants of the layer, sent to the guard and an `s3s` service.
//!
//! Two parsers read each of them. No request that the layer refuses may reach the store. `s3s`
//! may refuse what the layer accepts as another spelling of the same request.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_credentials::clock::Clock;

use super::Guarded;
use crate::mutations::{Fate, Mutants, Raw, of_a_presigned_url, of_a_signed_header, v2};

/// Returns the number of refused mutants, and of other spellings that passed.
async fn none_passes(guarded: &Guarded, base: &Raw, mutants: Mutants) -> (usize, usize) {
    let send = async |request: Request<Full<Bytes>>| guarded.send(request).await;
    send(base.build().unwrap()).await.passed();
    let (mut refused, mut passed, mut wrong) = (0, 0, Vec::new());
    for (what, request, fate) in mutants.requests() {
        let answer = send(request).await;
        match (answer.stored.is_some(), fate) {
            (true, Fate::Same) => passed += 1,
            (true, Fate::Refused(_)) => wrong.push(what),
            (false, _) => {
                assert!(answer.status.is_client_error(), "{what}: {answer:?}");
                refused += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{} reached the store:\n{}", wrong.len(), wrong.join("\n"));
    (refused, passed)
}

#[tokio::test]
async fn mutants_of_header_signed_requests_never_reach_the_store() {
    let guarded = Guarded::new().await;
    for (method, body) in [("GET", &b""[..]), ("PUT", b"content")] {
        let (base, mutants) = of_a_signed_header(&guarded.signer(), method, body);
        // `s3s` does not read the body of a GET, so it does not notice a wrong one.
        let mutants = mutants.without(|what| method == "GET" && what.starts_with("body "));
        let (refused, passed) = none_passes(&guarded, &base, mutants).await;
        assert!(refused > 250 && passed > 20, "{refused} refused, {passed} passed");
    }
}

#[tokio::test]
async fn mutants_of_presigned_urls_never_reach_the_store() {
    let guarded = Guarded::now().await;
    let (base, mutants) = of_a_presigned_url(&guarded.signer());
    let (refused, passed) = none_passes(&guarded, &base, mutants).await;
    assert!(refused > 250 && passed > 20, "{refused} refused, {passed} passed");
}

#[tokio::test]
async fn mutants_of_version_2_requests_never_reach_the_store() {
    let guarded = Guarded::with(|builder| builder.signature_v2(true)).await;
    let (base, mutants) = v2::of_a_signed_header();
    let (refused, passed) = none_passes(&guarded, &base, mutants).await;
    assert!(refused > 50 && passed > 0, "{refused} refused, {passed} passed");
    let guarded = Guarded::now_with(|builder| builder.signature_v2(true)).await;
    let (base, mutants) = v2::of_a_presigned_url(guarded.clock.now());
    let (refused, _) = none_passes(&guarded, &base, mutants).await;
    assert!(refused >= 20, "only {refused}");
}
