//! One key, one directory, and every data plane.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body_util::{Empty, Full};
use s3s::{S3ErrorCode as Code, auth::S3Auth};
use sha1::Sha1;
use test_support::clock::TestClock;
use tower_credentials::{
    backend::{CredentialBackend, KeySource, Uncached, cached::Cached, memory::MemoryBackend},
    clock::Clock,
    directory::{Directory, Project, StaticDirectory, User},
    domain::{Credential, Delegation, ProjectId, Quota, UserId},
    s3::{S3AuthLayer, S3sAuth},
    signature::request::S3ErrorCode,
};

use crate::{
    forms::{Form, version_2},
    gate::{ACCESS, Answer, Gate, SECRET, record, request},
    registry::Registry,
};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// How a key is used.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// In the header, with the record in a cache.
    Header,
    /// The same, with the record looked up for each request.
    Direct,
    Presigned,
    HeaderV2,
    Form,
    FormV2,
    /// By an `s3s` service.
    S3s,
}

pub(super) const WAYS: [Way; 7] =
    [Way::Header, Way::Direct, Way::Presigned, Way::HeaderV2, Way::Form, Way::FormV2, Way::S3s];

/// The result of using the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Verified,
    /// Refused as if the key did not exist.
    Refused,
    /// 503.
    Unavailable,
}

/// Settings of every data plane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settings {
    pub(super) accept_delegated: bool,
    pub(super) grace: Option<Duration>,
}

/// Every data plane over one key.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) clock: TestClock,
    cached: Gate,
    direct: Gate,
    s3s: S3sAuth,
}

impl Plane {
    pub(super) async fn new(
        record: Credential,
        directory: impl Directory,
        settings: Settings,
    ) -> Self {
        let (backend, clock) = (MemoryBackend::default(), TestClock::default());
        backend.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
        let directory = Arc::new(directory);
        let keys = Cached::builder(backend.clone()).clock(clock.clone()).build();
        let gate = |keys: Arc<dyn KeySource>| {
            let builder = S3AuthLayer::builder(keys)
                .signature_v2(true)
                .clock(clock.clone())
                .accept_delegated(settings.accept_delegated)
                .directory(Arc::clone(&directory));
            let builder = match settings.grace {
                Some(grace) => builder.directory_grace(grace),
                None => builder,
            };
            let layer = builder.build().unwrap();
            Gate { backend: backend.clone(), clock: clock.clone(), layer }
        };
        let s3s = S3sAuth::new(keys.clone())
            .clock(clock.clone())
            .accept_delegated(settings.accept_delegated)
            .directory(Arc::clone(&directory));
        let s3s = match settings.grace {
            Some(grace) => s3s.directory_grace(grace),
            None => s3s,
        };
        let (cached, direct) = (gate(Arc::new(keys)), gate(Arc::new(Uncached(backend.clone()))));
        Self { clock, cached, direct, s3s }
    }

    /// Uses the key.
    pub(super) async fn fate(&self, way: Way) -> Fate {
        if matches!(way, Way::S3s) {
            return match self.s3s.get_secret_key(ACCESS).await {
                Ok(secret) => {
                    assert_eq!(secret.expose(), SECRET);
                    Fate::Verified
                }
                Err(error) if *error.code() == Code::InvalidAccessKeyId => Fate::Refused,
                Err(error) => {
                    assert_eq!(*error.code(), Code::ServiceUnavailable);
                    Fate::Unavailable
                }
            };
        }
        let answer = self.send(way).await;
        match answer.code {
            None => {
                answer.verified();
                Fate::Verified
            }
            Some(S3ErrorCode::InvalidAccessKeyId) => {
                answer.refused(S3ErrorCode::InvalidAccessKeyId);
                Fate::Refused
            }
            Some(_) => {
                answer.refused(S3ErrorCode::ServiceUnavailable);
                assert_eq!(answer.headers["retry-after"], "5");
                Fate::Unavailable
            }
        }
    }

    /// Sends a body in signed chunks to the layer, without the length of the payload.
    pub(super) async fn send_chunks_without_length(&self) -> Answer {
        let signer = self.cached.signer().payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        let put = request("PUT", "/b/k").body(Full::<Bytes>::from("0;")).unwrap();
        self.cached.send(signer.sign(put).0).await
    }

    /// Sends a request to one of the layers.
    pub(super) async fn send(&self, way: Way) -> Answer {
        let get = || request("GET", "/b/k").body(Empty::<Bytes>::new()).unwrap();
        let signer = self.cached.signer();
        match way {
            Way::Header => self.cached.send(signer.sign(get()).0).await,
            Way::Direct => self.direct.send(signer.sign(get()).0).await,
            Way::Presigned => {
                self.cached.send(signer.presigning(Duration::from_mins(5)).sign(get()).0).await
            }
            Way::HeaderV2 => self.cached.send(header_v2()).await,
            Way::Form => self.cached.send(Form::new().to("/photos")).await,
            Way::FormV2 => {
                self.cached.send(version_2(ACCESS, SECRET, self.cached.clock.now())).await
            }
            Way::S3s => panic!("that is not the layer's"),
        }
    }
}

fn header_v2() -> Request<Full<Bytes>> {
    let date = "Fri, 02 Jan 2026 03:04:05 GMT";
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("GET\n\n\n{date}\n/b/k").as_bytes());
    let signature = BASE64.encode(&mac.finalize().into_bytes());
    request("GET", "/b/k")
        .header("date", date)
        .header("authorization", format!("AWS {ACCESS}:{signature}"))
        .body(Full::default())
        .unwrap()
}

/// Alice with a place in `demo`, and bob.
pub(crate) fn registry() -> Arc<Registry> {
    let [alice, bob] = ["alice", "bob"].map(|name| User::new(UserId::new(name).unwrap(), name));
    let demo = Project::new(ProjectId::new("demo").unwrap(), "demo");
    let directory = StaticDirectory::new()
        .with_member(alice.id.clone(), demo.id.clone(), ["member"])
        .with_user(alice)
        .with_user(bob)
        .with_project(demo);
    Arc::new(Registry::over(directory))
}

/// Alice's key in `demo`.
pub(super) fn key() -> Credential {
    record(ACCESS, SECRET)
}

/// A key of alice's without a project.
pub(super) fn without_project() -> Credential {
    let mut key = key();
    key.project_id = None;
    key
}

/// A root key of `demo`.
pub(super) fn root_key() -> Credential {
    let mut key = key();
    key.user_id = UserId::root_of(key.project_id.as_ref().unwrap());
    key.root_key = Some(true);
    key
}

pub(super) fn delegated(mut key: Credential) -> Credential {
    key.delegation = Some(trust());
    key
}

pub(super) fn trust() -> Delegation {
    Delegation::Trust { id: "t".into() }
}
