//! `S3sGuardLayer` in front of an `s3s` service that gets its keys from `S3sAuth`.

mod allocating;
mod boundaries;
mod bounded;
mod forms;
mod mutated;
mod requests;
mod sessions;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use s3s::{
    S3, S3Error, S3Request, S3Response, S3Result,
    config::{S3Config, StaticConfigProvider},
    dto::{
        GetObjectInput, GetObjectOutput, ListPartsInput, ListPartsOutput, PutObjectInput,
        PutObjectOutput,
    },
    service::{S3Service, S3ServiceBuilder},
};
use test_support::clock::TestClock;
use tower::{Layer, Service, ServiceExt};
use tower_credentials::{
    async_trait,
    backend::{CredentialBackend, Uncached, memory::MemoryBackend},
    clock::{Clock, SystemClock},
    domain::Quota,
    s3::{S3sAuth, S3sGuardLayer, S3sGuardLayerBuilder},
    signature::request::S3ErrorCode,
};

use crate::{
    aws_signer::Signer,
    gate::{ACCESS, SECRET, record},
};

/// The guard and the service, with one key of alice's.
struct Guarded {
    clock: TestClock,
    guard: S3sGuardLayer,
    keys: MemoryBackend,
    service: S3Service,
    store: Store,
}

/// The response to a request.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    /// The code of the guard's refusal. `None` if `s3s` responded.
    guard: Option<S3ErrorCode>,
    body: String,
    /// The object that reached the store.
    stored: Option<Object>,
}

/// The bucket, the key and the whole body of a request that reached the store.
type Object = (String, String, String);

impl Guarded {
    /// With the guard's clock at 2026-01-02. The service reads the real clock and tolerates
    /// every difference, so only the guard refuses requests for their time.
    async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    async fn with(set: impl FnOnce(S3sGuardLayerBuilder) -> S3sGuardLayerBuilder) -> Self {
        Self::at(TestClock::default(), set).await
    }

    /// With the guard's clock at the real time, which the service compares with.
    async fn now() -> Self {
        Self::now_with(|builder| builder).await
    }

    async fn now_with(set: impl FnOnce(S3sGuardLayerBuilder) -> S3sGuardLayerBuilder) -> Self {
        let clock = TestClock::default();
        clock.set(SystemClock.now());
        Self::at(clock, set).await
    }

    async fn at(
        clock: TestClock,
        set: impl FnOnce(S3sGuardLayerBuilder) -> S3sGuardLayerBuilder,
    ) -> Self {
        let (backend, store) = (MemoryBackend::default(), Store::default());
        let keys = backend.clone();
        backend.insert(&Arc::new(record(ACCESS, SECRET)), Quota::Unlimited).await.unwrap();
        let mut builder = S3ServiceBuilder::new(store.clone());
        builder.set_auth(S3sAuth::new(Uncached(backend)));
        let mut config = S3Config::default();
        config.presigned_url_max_skew_time_secs = u32::MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        let guard = set(S3sGuardLayer::builder().clock(clock.clone())).build().unwrap();
        Self { clock, guard, keys, service: builder.build(), store }
    }

    /// A signer with alice's key, at the current time of the clock.
    fn signer(&self) -> Signer {
        Signer::new(ACCESS, SECRET, self.clock.now())
    }

    async fn send<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.answer(self.guard.layer(self.service.clone()), request).await
    }

    /// Sends a request past the guard.
    async fn send_unguarded<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        self.answer(self.service.clone(), request).await
    }

    async fn answer<S, B, R>(&self, service: S, request: Request<B>) -> Answer
    where
        S: Service<Request<B>, Response = http::Response<R>>,
        S::Error: std::fmt::Debug,
        R: Body<Data = Bytes>,
        R::Error: std::fmt::Debug,
    {
        let (head, body) = service.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            guard: head.extensions.get().copied(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            stored: self.store.0.lock().unwrap().take(),
        }
    }
}

impl Answer {
    /// Checks that `s3s` verified the request and the store received it.
    #[track_caller]
    fn passed(self) -> Object {
        assert!(self.status.is_success(), "{self:?}");
        self.stored.expect("the request reached the store")
    }

    /// Checks that the guard refused the request with this code.
    #[track_caller]
    fn refused(&self, code: S3ErrorCode) {
        assert_eq!((self.guard, self.status), (Some(code), code.status()), "{self:?}");
        assert!(self.body.contains(&format!("<Code>{code}</Code>")), "{}", self.body);
        assert!(self.stored.is_none(), "the request reached the store");
    }

    /// Checks that the guard passed the request and `s3s` refused it with this code.
    #[track_caller]
    fn refused_by_s3s(&self, code: &str) {
        assert_eq!(self.guard, None, "{self:?}");
        assert!(self.body.contains(&format!("<Code>{code}</Code>")), "{self:?}");
        assert!(self.stored.is_none(), "the request reached the store");
    }
}

/// A store that remembers the last complete request.
#[derive(Clone, Debug, Default)]
struct Store(Arc<Mutex<Option<Object>>>);

impl Store {
    fn saw(&self, bucket: String, key: String, body: &[u8]) {
        let body = String::from_utf8(body.to_vec()).unwrap();
        *self.0.lock().unwrap() = Some((bucket, key, body));
    }
}

#[async_trait]
impl S3 for Store {
    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.saw(request.input.bucket, request.input.key, b"");
        Ok(S3Response::new(GetObjectOutput::default()))
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        self.saw(request.input.bucket, request.input.key, b"");
        Ok(S3Response::new(ListPartsOutput::default()))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let body = request.input.body.map(s3s::Body::from).unwrap_or_default();
        let body = body
            .collect()
            .await
            .map_err(|error| S3Error::with_source(s3s::S3ErrorCode::IncompleteBody, error))?;
        self.saw(request.input.bucket, request.input.key, &body.to_bytes());
        Ok(S3Response::new(PutObjectOutput::default()))
    }
}
