//! Tokens that are missing, foreign or changed.

use std::time::Duration;

use http::HeaderValue;
use tower_credentials::{
    s3::Anonymous,
    signature::request::S3ErrorCode::{
        self, AccessDenied, ExpiredToken, InvalidAccessKeyId, InvalidArgument, InvalidToken,
        SignatureDoesNotMatch,
    },
};

use super::*;

#[tokio::test]
async fn key_and_token_must_belong_together() {
    let gate = Gate::new().await;
    let (one, other) = (minted(&gate), minted(&gate));
    let (token, others) = (one.session_token.expose(), other.session_token.expose());
    let (session, own) = (signer(&gate, &one), gate.signer());
    let without = request("GET", "/photos/cat.jpg").body(Full::default()).unwrap();
    for (what, request, code) in [
        ("a session key without a token", session.sign(without).0, InvalidAccessKeyId),
        ("the token of another session", get_with(&session, others), InvalidToken),
        ("a long-term key with a token", get_with(&own, token), InvalidToken),
        ("an empty token", get_with(&session, ""), InvalidToken),
        ("a truncated token", get_with(&session, &token[..token.len() - 1]), InvalidToken),
        ("a padded token", get_with(&session, &format!("{token}=")), InvalidToken),
        ("two tokens in one", get_with(&session, &format!("{token},{others}")), InvalidToken),
        ("text", get_with(&session, "token"), InvalidToken),
    ] {
        let answer = gate.send(request).await;
        assert_eq!(answer.code, Some(code), "{what}: {}", answer.body);
        answer.refused(code);
        assert!(!answer.body.contains("tc1."), "{what}: {}", answer.body);
    }
}

#[tokio::test]
async fn changed_token_is_refused_wherever_it_is_changed() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    let token = credentials.session_token.expose();
    gate.send(get(&gate, &credentials)).await.verified();
    for at in 0..token.len() {
        let flipped = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut changed = token.to_owned();
        changed.replace_range(at..=at, flipped);
        let answer = gate.send(get_with(&signer(&gate, &credentials), &changed)).await;
        // A changed parent is one that does not exist.
        let code = answer.code.unwrap();
        assert!(matches!(code, InvalidToken | InvalidAccessKeyId), "{at}: {}", answer.body);
        answer.refused(code);
    }
}

#[tokio::test]
async fn token_is_sent_once_and_signed() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    let token = credentials.session_token.expose();
    let value = HeaderValue::try_from(token).unwrap();
    let signer = signer(&gate, &credentials);
    let unsigned = || request("GET", "/photos/cat.jpg").body(Full::<Bytes>::default()).unwrap();

    let mut added = signer.sign(unsigned()).0;
    added.headers_mut().insert("x-amz-security-token", value.clone());
    gate.send(added).await.refused(AccessDenied);

    let mut twice = get(&gate, &credentials);
    twice.headers_mut().append("x-amz-security-token", value.clone());
    gate.send(twice).await.refused(InvalidToken);

    let target = format!("/photos/cat.jpg?X-Amz-Security-Token={token}");
    let in_query = || request("GET", &target).body(Full::<Bytes>::default()).unwrap();
    gate.send(signer.sign(in_query()).0).await.refused(InvalidToken);
    let presigning = signer.clone().presigning(Duration::from_mins(5));
    let mut both = in_query();
    both.headers_mut().insert("x-amz-security-token", value.clone());
    gate.send(presigning.sign(both).0).await.refused(InvalidToken);
    let mut elsewhere = unsigned();
    elsewhere.headers_mut().insert("x-amz-security-token", value);
    gate.send(presigning.sign(elsewhere).0).await.refused(InvalidToken);

    let twice = format!("{target}&X-Amz-Security-Token={token}");
    let mut sent = presigning.sign(in_query()).0;
    let uri = sent.uri().to_string().replace(&target, &twice);
    *sent.uri_mut() = uri.parse().unwrap();
    gate.send(sent).await.refused(InvalidToken);
}

#[tokio::test]
async fn token_without_a_signature_is_not_anonymous() {
    for anonymous in [Anonymous::Pass, Anonymous::Refuse] {
        let gate = Gate::with(|builder| builder.anonymous(anonymous)).await;
        let token = minted(&gate).session_token;
        let unsigned = request("GET", "/photos/cat").header("x-amz-security-token", token.expose());
        gate.send(unsigned.body(Full::<Bytes>::default()).unwrap()).await.refused(AccessDenied);
        let target = format!("/photos/cat?X-Amz-Security-Token={}", token.expose());
        let answer = gate.send(request("GET", &target).body(Full::<Bytes>::default()).unwrap());
        assert!(answer.await.reached.is_none());
    }
}

#[tokio::test]
async fn version_2_has_no_sessions() {
    let gate = Gate::with(|builder| builder.signature_v2(true)).await;
    let token = minted(&gate).session_token;
    let signed = request("GET", "/photos/cat")
        .header("date", "Fri, 02 Jan 2026 03:04:05 GMT")
        .header("x-amz-security-token", token.expose())
        .header("authorization", format!("AWS {ACCESS}:qgk2+6Sv9/oM7G3qLEjTH1a1l1g="));
    gate.send(signed.body(Full::<Bytes>::default()).unwrap()).await.refused(InvalidToken);
    let target = format!("/photos/cat?AWSAccessKeyId={ACCESS}&Expires=1&Signature=x");
    let presigned = request("GET", &target).header("x-amz-security-token", token.expose());
    gate.send(presigned.body(Full::<Bytes>::default()).unwrap()).await.refused(InvalidToken);
    let target = format!("{target}&X-Amz-Security-Token={}", token.expose());
    let presigned = request("GET", &target).body(Full::<Bytes>::default()).unwrap();
    gate.send(presigned).await.refused(InvalidArgument);
}

#[tokio::test]
async fn end_of_a_session_is_told_only_to_those_who_have_its_secret() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    gate.clock.advance(HOUR);
    gate.send(get(&gate, &credentials)).await.refused(ExpiredToken);
    let mut signer = signer(&gate, &credentials);
    signer.secret = "x".repeat(40);
    let token = credentials.session_token.expose();
    let answer = gate.send(get_with(&signer, token)).await;
    answer.refused(SignatureDoesNotMatch);
    // The canonical request contains the token.
    assert!(!answer.body.contains("tc1."), "{}", answer.body);
}

#[tokio::test]
async fn hidden_keys_hide_the_parents_of_sessions_too() {
    let gate = Gate::with(|builder| builder.hide_unknown_keys(true)).await;
    let known = minted(&gate);
    let unknown = mint(&session_of(&gate, "UNKNOWN", HOUR));
    let foreign = session(&gate).mint(&SecretKey::from_stored("x".repeat(48))).unwrap();
    gate.send(get(&gate, &known)).await.verified();
    for credentials in [unknown, foreign] {
        gate.send(get(&gate, &credentials)).await.refused(SignatureDoesNotMatch);
    }
}

#[tokio::test]
async fn many_sessions_work_in_a_small_cache() {
    let gate = Gate::with(|builder| builder.session_cache(8_192)).await;
    let all: Vec<_> = (0..50).map(|_| minted(&gate)).collect();
    for _ in 0..3 {
        for credentials in &all {
            gate.send(get(&gate, credentials)).await.verified();
        }
    }
}

#[test]
fn codes_have_the_status_of_s3() {
    for (code, status) in [(ExpiredToken, 400), (InvalidToken, 400), (InvalidAccessKeyId, 403)] {
        assert_eq!(S3ErrorCode::status(code), status, "{code}");
    }
}
