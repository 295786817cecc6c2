//! Requests with the credentials of sessions.

mod limits;
mod parents;
mod tokens;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_credentials::{
    clock::Clock,
    domain::{AccessKey, SecretKey},
    s3::Mechanism,
    session::{Holder, Session, SessionCredentials},
    signature::request::S3ErrorCode::{
        AccessDenied, ExpiredToken, InvalidAccessKeyId, InvalidToken, SignatureDoesNotMatch,
    },
};

use crate::{
    aws_signer::Signer,
    chunks::chunks_of,
    forms::{Form, version_2},
    gate::{ACCESS, Gate, SECRET, request},
};

const HOUR: Duration = Duration::from_hours(1);

/// A role session of alice's key from now on, for an hour.
fn session(gate: &Gate) -> Session {
    session_of(gate, ACCESS, HOUR)
}

/// A role session of this key from now on.
fn session_of(gate: &Gate, access: &str, life: Duration) -> Session {
    session_at(access, gate.clock.now(), life)
}

/// A role session of this key from this time on.
pub(crate) fn session_at(access: &str, at: SystemTime, life: Duration) -> Session {
    let (parent, holder) = (AccessKey::from_stored(access), Holder::Role("nightly".into()));
    Session::new(&parent, holder, at, life).unwrap()
}

/// The credentials of an hour's session of alice's key.
fn minted(gate: &Gate) -> SessionCredentials {
    mint(&session(gate))
}

/// The credentials of a session of a key with alice's secret.
pub(crate) fn mint(session: &Session) -> SessionCredentials {
    session.mint(&SecretKey::from_stored(SECRET)).unwrap()
}

fn signer(gate: &Gate, credentials: &SessionCredentials) -> Signer {
    signer_at(credentials, gate.clock.now())
}

pub(crate) fn signer_at(credentials: &SessionCredentials, at: SystemTime) -> Signer {
    Signer::new(credentials.access_key.as_str(), credentials.secret_key.expose(), at)
}

/// A signed request with this token.
pub(crate) fn get_with(signer: &Signer, token: &str) -> Request<Full<Bytes>> {
    let unsigned = request("GET", "/photos/cat.jpg").header("x-amz-security-token", token);
    signer.sign(unsigned.body(Full::default()).unwrap()).0
}

/// A request that the session has signed.
fn get(gate: &Gate, credentials: &SessionCredentials) -> Request<Full<Bytes>> {
    get_with(&signer(gate, credentials), credentials.session_token.expose())
}

#[tokio::test]
async fn session_signs_in_the_header() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    for _ in 0..2 {
        let reached = gate.send(get(&gate, &credentials)).await.verified();
        let key = reached.key.unwrap();
        assert_eq!((key.user_id().as_str(), key.access_key().as_str()), ("alice", ACCESS));
        let session = key.session().unwrap();
        assert_eq!(*session.access_key(), credentials.access_key);
        assert_eq!(*session.holder(), Holder::Role("nightly".into()));
        assert_eq!(session.expires_at(), gate.clock.now() + HOUR);
    }
    let own = gate.signer().sign(request("GET", "/photos/x").body(Full::default()).unwrap()).0;
    assert!(gate.send(own).await.verified().key.unwrap().session().is_none());
}

#[tokio::test]
async fn session_presigns() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    let target = format!("/photos/cat?X-Amz-Security-Token={}", credentials.session_token.expose());
    let signer = signer(&gate, &credentials).presigning(Duration::from_mins(5));
    let presigned = signer.sign(request("GET", &target).body(Full::default()).unwrap()).0;
    for _ in 0..2 {
        let key = gate.send(presigned.clone()).await.verified().key.unwrap();
        assert_eq!(key.mechanism(), Mechanism::QueryV4);
        assert_eq!(*key.session().unwrap().access_key(), credentials.access_key);
    }
    // A session can end before its URLs do.
    gate.clock.advance(Duration::from_mins(59));
    let signer = self::signer(&gate, &credentials).presigning(Duration::from_mins(5));
    let presigned = signer.sign(request("GET", &target).body(Full::default()).unwrap()).0;
    gate.send(presigned.clone()).await.verified();
    gate.clock.advance(Duration::from_mins(1));
    gate.send(presigned).await.refused(ExpiredToken);
}

#[tokio::test]
async fn session_uploads_in_signed_chunks() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    let unsigned = request("PUT", "/photos/cat.jpg")
        .header("x-amz-security-token", credentials.session_token.expose())
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", 4);
    let signer = signer(&gate, &credentials).payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let (head, seed) = signer.sign(unsigned.body(()).unwrap());
    for (secret, body) in [(credentials.secret_key.expose(), Ok("meow")), (SECRET, Err(()))] {
        let sent = head.clone().map(|()| Full::from(chunks_of(secret, &seed, &["meow"])));
        let stored = gate.send(sent).await.reached.unwrap().body;
        assert_eq!(stored.as_deref().map_err(|_| ()), body.map(str::as_bytes));
    }
}

#[tokio::test]
async fn session_signs_forms() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    let form = Form::new().of_session(&credentials);
    let key = gate.send(form.to("/photos")).await.verified().key.unwrap();
    assert_eq!(key.mechanism(), Mechanism::FormV4);
    assert_eq!(*key.session().unwrap().access_key(), credentials.access_key);

    let with = |change: &dyn Fn(&mut Form)| {
        let mut form = form.clone();
        change(&mut form);
        form.to("/photos")
    };
    let other = minted(&gate).session_token;
    let uncovered = format!(r#"{{"x-amz-security-token": "{}"}}, "#, form.fields[2].1);
    for (what, request, code) in [
        ("no token", with(&|form| _ = form.fields.pop()), InvalidAccessKeyId),
        ("an empty token", with(&|form| form.fields[2].1.clear()), InvalidToken),
        ("another token", with(&|form| form.fields[2].1 = other.expose().into()), InvalidToken),
        (
            "a token that the policy does not cover",
            with(&|form| form.policy = form.policy.replace(&uncovered, "")),
            AccessDenied,
        ),
        ("another secret", with(&|form| form.secret = SECRET.into()), SignatureDoesNotMatch),
        ("the parent's key", with(&|form| form.access = ACCESS.into()), InvalidToken),
    ] {
        let answer = gate.send(request).await;
        assert_eq!(answer.code, Some(code), "{what}: {}", answer.body);
        answer.refused(code);
    }
    gate.clock.advance(HOUR);
    let mut late = Form::signed(gate.clock.now(), "us-east-1").of_session(&credentials);
    gate.send(late.to("/photos")).await.refused(ExpiredToken);
    late.secret = SECRET.into();
    gate.send(late.to("/photos")).await.refused(SignatureDoesNotMatch);
}

#[tokio::test]
async fn form_of_version_2_has_no_session() {
    let gate = Gate::with(|builder| builder.signature_v2(true)).await;
    let credentials = minted(&gate);
    let (access, secret) = (credentials.access_key.as_str(), credentials.secret_key.expose());
    let request = version_2(access, secret, gate.clock.now());
    gate.send(request).await.refused(InvalidAccessKeyId);
}
