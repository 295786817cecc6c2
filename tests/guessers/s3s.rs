//! `S3sGuardLayer` with guessers, in front of an `s3s` service.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use s3s::{
    S3, S3Request, S3Response, S3Result,
    dto::{GetObjectInput, GetObjectOutput, ListBucketsInput, ListBucketsOutput},
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use test_support::{aws_signer::Signer, clock::TestClock, records};
use tower::{Layer, ServiceExt};
use tower_credentials::{
    async_trait,
    backend::{CredentialBackend, Uncached, memory::MemoryBackend},
    clock::{Clock, SystemClock},
    domain::{AccessKey, Credential, Quota, Status},
    guessers::Guessers,
    s3::{S3sAuth, S3sGuardLayer},
};

use crate::{
    late::{ALLOWED, at_once, from, guessers},
    s3::{ACCESS, NAT, SECRET},
};

/// A store that refuses every GET of an object, although the signature is valid.
struct Store;

#[async_trait]
impl S3 for Store {
    async fn get_object(
        &self,
        _: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        Err(s3_error!(AccessDenied))
    }

    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        Ok(S3Response::new(ListBucketsOutput::default()))
    }
}

struct Guarded {
    guard: S3sGuardLayer,
    guessers: Guessers,
    keys: MemoryBackend,
    service: S3Service,
}

impl Guarded {
    async fn new(with_access: bool) -> Self {
        let (keys, clock) = (MemoryBackend::default(), TestClock::default());
        clock.set(SystemClock.now());
        let record = records::pair_in("demo", "alice", ACCESS, SECRET);
        keys.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
        let mut builder = S3ServiceBuilder::new(Store);
        let auth = S3sAuth::new(Uncached(keys.clone()));
        if with_access {
            let (auth, access) = auth.with_boundaries();
            builder.set_auth(auth);
            builder.set_access(access);
        } else {
            builder.set_auth(auth);
        }
        let guessers = guessers(&clock);
        let guard = S3sGuardLayer::builder().clock(clock).guessers(guessers.clone());
        Self { guard: guard.build().unwrap(), guessers, keys, service: builder.build() }
    }

    async fn status(&self, target: &str, access: &str, secret: &str) -> Option<StatusCode> {
        let signer = Signer::new(access, secret, SystemClock.now());
        self.send(signer.sign(get(target)).0).await
    }

    async fn send(&self, mut request: Request<Full<Bytes>>) -> Option<StatusCode> {
        request.extensions_mut().insert(from(NAT));
        let service = self.guard.layer(self.service.clone());
        at_once(service.oneshot(request)).await.map(|response| response.unwrap().status())
    }

    async fn change(&self, change: impl FnOnce(&mut Credential)) {
        let access = AccessKey::from_stored(ACCESS);
        let found = self.keys.find_by_access_key(&access).await.unwrap().unwrap();
        let mut changed = (*found).clone().touched(found.updated_at);
        change(&mut changed);
        assert!(self.keys.update(&Arc::new(changed), found.version).await.unwrap());
    }
}

fn get(target: &str) -> Request<Full<Bytes>> {
    let request = Request::get(target).header("host", "s3.example.org");
    request.body(Full::default()).unwrap()
}

const REFUSED: Option<StatusCode> = Some(StatusCode::FORBIDDEN);

#[tokio::test(start_paused = true)]
async fn signatures_that_s3s_finds_invalid_are_answered_late_and_valid_ones_at_once() {
    let guarded = Guarded::new(true).await;
    for access in [ACCESS, "unknown"] {
        for _ in 0..ALLOWED {
            assert_eq!(guarded.status("/", access, "wrong").await, REFUSED, "{access}");
        }
        assert_eq!(guarded.status("/", access, "wrong").await, None, "{access}");
    }
    assert_eq!(guarded.status("/", ACCESS, SECRET).await, Some(StatusCode::OK));
    let stats = guarded.guessers.stats();
    assert_eq!((stats.failures, stats.delayed, stats.waiting), (8, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn refusals_of_valid_signatures_disabled_keys_and_unsigned_requests_are_not_counted() {
    let guarded = Guarded::new(true).await;
    for _ in 0..2 * ALLOWED {
        assert_eq!(guarded.status("/photos/a-cat.jpg", ACCESS, SECRET).await, REFUSED);
        assert_eq!(guarded.send(get("/")).await, REFUSED);
    }
    guarded.change(|key| key.terms.set_boundary(Some(READ_ELSEWHERE.into()))).await;
    for _ in 0..2 * ALLOWED {
        assert_eq!(guarded.status("/", ACCESS, SECRET).await, REFUSED);
    }
    guarded.change(|key| key.status = Status::Inactive).await;
    for _ in 0..2 * ALLOWED {
        assert_eq!(guarded.status("/", ACCESS, SECRET).await, REFUSED);
        assert_eq!(guarded.status("/", ACCESS, "wrong").await, REFUSED);
    }
    assert_eq!(guarded.guessers.stats().failures, 0);
}

const READ_ELSEWHERE: &str = r#"{"permission":"read","buckets":["elsewhere"]}"#;

#[tokio::test(start_paused = true)]
async fn without_the_access_check_only_unknown_keys_are_counted() {
    let guarded = Guarded::new(false).await;
    for _ in 0..2 * ALLOWED {
        assert_eq!(guarded.status("/photos/a-cat.jpg", ACCESS, SECRET).await, REFUSED);
        assert_eq!(guarded.status("/", ACCESS, "wrong").await, REFUSED);
    }
    assert_eq!(guarded.guessers.stats().failures, 0);
    assert_eq!(guarded.status("/", "unknown", "wrong").await, REFUSED);
    assert_eq!(guarded.guessers.stats().failures, 1);
}
