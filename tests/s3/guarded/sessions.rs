//! Sessions behind the guard: `s3s` verifies with the session's secret.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};
use tower_credentials::{
    backend::CredentialBackend,
    clock::Clock,
    domain::{AccessKey, SecretKey, Status},
    session::SessionCredentials,
    signature::request::S3ErrorCode,
};

use super::{
    Guarded,
    bounded::{Bounded, Setup, named},
};
use crate::{
    forms::Form,
    gate::{ACCESS, request},
    sessions::{get_with, mint, session_at, signer_at},
};

const HOUR: Duration = Duration::from_hours(1);

fn minted(guarded: &Guarded) -> SessionCredentials {
    mint(&session_at(ACCESS, guarded.clock.now(), HOUR))
}

fn get(guarded: &Guarded, credentials: &SessionCredentials) -> Request<Full<Bytes>> {
    get_with(&signer_at(credentials, guarded.clock.now()), credentials.session_token.expose())
}

fn cat() -> (String, String, String) {
    ("photos".into(), "cat.jpg".into(), String::new())
}

#[tokio::test]
async fn session_signs_in_header_query_and_form() {
    let guarded = Guarded::now().await;
    let credentials = minted(&guarded);
    assert_eq!(guarded.send(get(&guarded, &credentials)).await.passed(), cat());

    let token = credentials.session_token.expose();
    let target = format!("/photos/cat.jpg?X-Amz-Security-Token={token}");
    let presigning =
        signer_at(&credentials, guarded.clock.now()).presigning(Duration::from_mins(5));
    let presigned = presigning.sign(request("GET", &target).body(Full::default()).unwrap()).0;
    assert_eq!(guarded.send(presigned).await.passed(), cat());

    let form = Form::signed(guarded.clock.now(), "us-east-1").of_session(&credentials);
    let stored = guarded.send(form.to("/photos")).await.passed();
    assert_eq!(stored, ("photos".into(), "cats/tom.jpg".into(), "meow".into()));
    let mut wrong = form.clone();
    wrong.secret = "x".repeat(40);
    guarded.send(wrong.to("/photos")).await.refused_by_s3s("SignatureDoesNotMatch");
}

#[tokio::test]
async fn session_needs_the_guard() {
    let guarded = Guarded::now().await;
    let credentials = minted(&guarded);
    let unguarded = guarded.send_unguarded(get(&guarded, &credentials)).await;
    unguarded.refused_by_s3s("InvalidAccessKeyId");
}

#[tokio::test]
async fn session_that_is_not_valid_is_refused() {
    let guarded = Guarded::now().await;
    let (credentials, other) = (minted(&guarded), minted(&guarded));
    let signer = signer_at(&credentials, guarded.clock.now());
    let (token, others) = (credentials.session_token.expose(), other.session_token.expose());
    for token in ["", "token", others, &token[..token.len() - 1]] {
        guarded.send(get_with(&signer, token)).await.refused(S3ErrorCode::InvalidToken);
    }
    guarded.send(get_with(&guarded.signer(), token)).await.refused(S3ErrorCode::InvalidToken);
    let without = signer.sign(request("GET", "/photos/cat.jpg").body(Full::default()).unwrap()).0;
    guarded.send::<Full<Bytes>>(without).await.refused_by_s3s("InvalidAccessKeyId");

    let session = session_at(ACCESS, guarded.clock.now(), HOUR);
    let forged = session.mint(&SecretKey::from_stored("x".repeat(48))).unwrap();
    guarded.send(get(&guarded, &forged)).await.refused_by_s3s("InvalidToken");
    let unknown = mint(&session_at("UNKNOWN", guarded.clock.now(), HOUR));
    guarded.send(get(&guarded, &unknown)).await.refused_by_s3s("InvalidAccessKeyId");
    let ended = mint(&session_at(ACCESS, guarded.clock.now() - HOUR, HOUR));
    guarded.send(get(&guarded, &ended)).await.refused_by_s3s("ExpiredToken");
    let ahead = mint(&session_at(ACCESS, guarded.clock.now() + HOUR, HOUR));
    guarded.send(get(&guarded, &ahead)).await.refused_by_s3s("InvalidToken");
}

#[tokio::test]
async fn session_ends_with_its_parent() {
    let guarded = Guarded::now().await;
    let credentials = minted(&guarded);
    guarded.send(get(&guarded, &credentials)).await.passed();
    let key = guarded.keys.find_by_access_key(&AccessKey::from_stored(ACCESS)).await.unwrap();
    let key = key.unwrap();
    let mut disabled = (*key).clone().touched(key.updated_at);
    disabled.status = Status::Inactive;
    assert!(guarded.keys.update(&disabled.into(), key.version).await.unwrap());
    guarded.send(get(&guarded, &credentials)).await.refused_by_s3s("InvalidAccessKeyId");
}

#[tokio::test]
async fn requests_at_once_keep_their_own_tokens() {
    let guarded = Guarded::now().await;
    let mut sent = JoinSet::new();
    for _ in 0..50 {
        let service = guarded.guard.layer(guarded.service.clone());
        sent.spawn(service.oneshot(get(&guarded, &minted(&guarded))));
    }
    for answer in sent.join_all().await {
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn policy_of_a_session_is_enforced_or_the_session_refused() {
    let read = json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"}});
    for setup in [Setup::Plain, Setup::WithBoundaries] {
        let bounded = Bounded::new(setup, |_, _| {}).await;
        let session = session_at(ACCESS, bounded.clock.now(), HOUR);
        let credentials = mint(&session.with_policy(&read.to_string()).unwrap());
        let signer = signer_at(&credentials, bounded.clock.now());
        let token = credentials.session_token.expose();
        let send = async |method: &str, target: &str| {
            let unsigned = request(method, target).header("x-amz-security-token", token);
            bounded.send(signer.sign(unsigned.body(Full::<Bytes>::default()).unwrap()).0).await
        };
        let answer = send("GET", "/photos/cat.jpg").await;
        if setup == Setup::Plain {
            answer.refused("InvalidAccessKeyId");
        } else {
            assert_eq!(answer.admitted(), named("GetObject", "photos", "cat.jpg"));
            send("GET", "/videos/cat.jpg").await.refused("AccessDenied");
            send("DELETE", "/photos/cat.jpg").await.refused("AccessDenied");
        }
    }
}

#[tokio::test]
async fn form_of_a_session_is_within_its_policy() {
    let bounded = Bounded::new(Setup::WithBoundaries, |_, _| {}).await;
    for (resource, fine) in
        [("arn:aws:s3:::photos/cats/*", true), ("arn:aws:s3:::photos/a/*", false)]
    {
        let policy = json!({"Version": "2012-10-17", "Statement":
            {"Effect": "Allow", "Action": "s3:PutObject", "Resource": resource}});
        let session = session_at(ACCESS, bounded.clock.now(), HOUR);
        let credentials = mint(&session.with_policy(&policy.to_string()).unwrap());
        let form = Form::signed(bounded.clock.now(), "us-east-1").of_session(&credentials);
        let sent = form.to("/photos");
        let bytes = sent.body().clone().collect().await.unwrap().to_bytes();
        let answer = bounded.send(sent.map(|_| Full::new(bytes))).await;
        assert_eq!(answer.admitted.is_some(), fine, "{answer:?}");
    }
}
