//! A service with `S3sAccess` that records which requests it admits.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use s3s::{
    S3, S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    config::{S3Config, StaticConfigProvider},
    dto::DeleteObjectsInput,
    host::SingleDomain,
    path::S3Path,
    service::{S3Service, S3ServiceBuilder},
};
use serde_json::Value;
use test_support::clock::TestClock;
use tower::{Layer, ServiceExt};
use tower_credentials::{
    async_trait,
    backend::{CredentialBackend, Uncached, memory::MemoryBackend},
    clock::{Clock, SystemClock},
    domain::{Credential, Quota},
    operation::{S3Operation, S3OperationName, S3OperationRules},
    s3::{S3sAccess, S3sAuth, S3sGuardLayer},
};

use crate::{
    aws_signer::Signer,
    boundaries::deletions::document,
    gate::{ACCESS, SECRET, record, request},
};

/// The guard in front of an `s3s` service whose store implements nothing. Records the requests
/// that `S3sAccess` admits: those would reach the store.
pub(super) struct Bounded {
    pub(super) clock: TestClock,
    guard: S3sGuardLayer,
    service: S3Service,
    admitted: Admitted,
}

/// The operation, the bucket and the key of a request, as `s3s` reads them.
pub(super) type Read = (String, Option<String>, Option<String>);

/// The last request that was admitted.
type Admitted = Arc<Mutex<Option<Read>>>;

/// What a key needs of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    /// `S3sAuth` alone.
    Plain,
    WithBoundaries,
    /// With buckets below the domain `s3.test`, and every operation served.
    BelowDomain,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
    pub(super) admitted: Option<Read>,
}

struct Recording(S3sAccess, Admitted);

#[derive(Debug)]
struct Nothing;

impl S3 for Nothing {}

#[async_trait]
impl S3Access for Recording {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        self.0.check(context).await?;
        let (bucket, key) = match context.s3_path() {
            S3Path::Root => (None, None),
            S3Path::Bucket { bucket } => (Some(bucket.to_string()), None),
            S3Path::Object { bucket, key } => (Some(bucket.to_string()), Some(key.to_string())),
        };
        let name = context.s3_op().name().to_owned();
        // A store may use the operation instead of reading the request itself.
        if let Some(operation) = context.extensions_mut().get::<S3Operation<'static>>() {
            assert_eq!(operation.bucket(), bucket.as_deref());
            assert_eq!(operation.name().name(), name);
        }
        // The keys of a deletion are checked later.
        if name != "DeleteObjects" {
            *self.1.lock().unwrap() = Some((name, bucket, key));
        }
        Ok(())
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        self.0.delete_objects(request).await?;
        let bucket = request.input.bucket.clone();
        *self.1.lock().unwrap() = Some(("DeleteObjects".into(), Some(bucket), None));
        Ok(())
    }
}

impl Bounded {
    pub(super) async fn new(
        setup: Setup,
        change: impl FnOnce(&mut Credential, &TestClock),
    ) -> Self {
        let (backend, clock) = (MemoryBackend::default(), TestClock::default());
        // `s3s` reads the real clock.
        clock.set(SystemClock.now());
        let mut key = record(ACCESS, SECRET);
        change(&mut key, &clock);
        backend.insert(&Arc::new(key), Quota::Unlimited).await.unwrap();
        let (admitted, mut builder) = (Admitted::default(), S3ServiceBuilder::new(Nothing));
        let auth = S3sAuth::new(Uncached(backend)).clock(clock.clone());
        let mut guard = S3sGuardLayer::builder().clock(clock.clone()).signature_v2(true);
        if setup == Setup::Plain {
            builder.set_auth(auth);
        } else {
            let (auth, mut access) = auth.with_boundaries();
            if setup == Setup::BelowDomain {
                let all = S3OperationName::ALL.iter().copied();
                let operations = S3OperationRules::new().serve(all).base_domains(["s3.test"]);
                access = access.operations(operations);
                guard = guard.base_domains(["s3.test"]);
                builder.set_host(SingleDomain::new("s3.test").unwrap());
            }
            builder.set_auth(auth);
            builder.set_access(Recording(access, Arc::clone(&admitted)));
        }
        let mut config = S3Config::default();
        config.presigned_url_max_skew_time_secs = u32::MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self { clock, guard: guard.build().unwrap(), service: builder.build(), admitted }
    }

    /// With a boundary of alice's key.
    pub(super) async fn by(boundary: &Value) -> Self {
        Self::new(Setup::WithBoundaries, |key, _| bind(key, boundary)).await
    }

    pub(super) fn signer(&self) -> Signer {
        Signer::new(ACCESS, SECRET, self.clock.now())
    }

    pub(super) async fn send<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let response: Response<_> =
            self.guard.layer(self.service.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status, body, admitted: self.admitted.lock().unwrap().take() }
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        let unsigned = request("GET", target).body(Full::<Bytes>::default()).unwrap();
        self.send(self.signer().sign(unsigned).0).await
    }

    pub(super) async fn delete(&self, keys: &[&str]) -> Answer {
        let body = document(keys);
        let unsigned = request("POST", "/data?delete").header("content-length", body.len());
        let unsigned = unsigned.body(Full::from(body.clone())).unwrap();
        self.send(self.signer().body(body).sign(unsigned).0).await
    }
}

impl Answer {
    /// The status, and the code in the body.
    pub(super) fn code(&self) -> (StatusCode, &str) {
        let code = self.body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        (self.status, code.map_or("", |(code, _)| code))
    }

    #[track_caller]
    pub(super) fn admitted(self) -> Read {
        let what = format!("{self:?}");
        self.admitted.unwrap_or_else(|| panic!("{what}"))
    }

    #[track_caller]
    pub(super) fn refused(&self, code: &str) {
        assert_eq!(self.admitted, None, "{self:?}");
        assert!(self.body.contains(&format!("<Code>{code}</Code>")), "{self:?}");
    }
}

pub(super) fn bind(key: &mut Credential, boundary: &Value) {
    key.terms.set_boundary(Some(boundary.to_string()));
}

pub(super) fn named(operation: &str, bucket: &str, key: &str) -> Read {
    (operation.into(), Some(bucket.into()), Some(key.into()))
}
