//! A store behind the layer that reports which requests reached it.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use test_support::{clock::TestClock, records};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    backend::{CredentialBackend, Uncached, memory::MemoryBackend},
    clock::Clock,
    domain::{AccessKey, Credential, Quota},
    operation::S3Operation,
    s3::{PayloadError, PostForm, S3AuthLayer, S3AuthLayerBuilder, VerifiedKey},
    signature::request::S3ErrorCode,
};

use crate::aws_signer::Signer;

pub(crate) const HOST: &str = "s3.example.org:8338";
pub(crate) const ACCESS: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The layer in front of a store, with one key of alice's.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) backend: MemoryBackend,
    pub(crate) clock: TestClock,
    pub(crate) layer: S3AuthLayer,
}

/// The response to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) code: Option<S3ErrorCode>,
    pub(crate) body: String,
    /// What reached the store: the key, the headers, and the body or its error.
    pub(crate) reached: Option<Reached>,
}

#[derive(Clone, Debug)]
pub(crate) struct Reached {
    pub(crate) key: Option<VerifiedKey>,
    pub(crate) form: Option<PostForm>,
    pub(crate) operation: Option<S3Operation<'static>>,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: HeaderMap,
    pub(crate) body: Result<Bytes, String>,
}

impl Gate {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(set: impl FnOnce(S3AuthLayerBuilder) -> S3AuthLayerBuilder) -> Self {
        let (backend, clock) = (MemoryBackend::default(), TestClock::default());
        let record = Arc::new(record(ACCESS, SECRET));
        backend.insert(&record, Quota::Unlimited).await.unwrap();
        let builder = S3AuthLayer::builder(Uncached(backend.clone())).clock(clock.clone());
        Self { backend, clock, layer: set(builder).build().unwrap() }
    }

    /// A signer with alice's key, at the current time of the clock.
    pub(crate) fn signer(&self) -> Signer {
        Signer::new(ACCESS, SECRET, self.clock.now())
    }

    /// Sets the boundary of alice's key.
    pub(crate) async fn bind(&self, boundary: &serde_json::Value) {
        self.change(|key| key.terms.set_boundary(Some(boundary.to_string()))).await;
    }

    /// Changes alice's key.
    pub(crate) async fn change(&self, change: impl FnOnce(&mut Credential)) {
        let access = AccessKey::from_stored(ACCESS);
        let found = self.backend.find_by_access_key(&access).await.unwrap().unwrap();
        let mut changed = (*found).clone().touched(found.updated_at);
        change(&mut changed);
        assert!(self.backend.update(&Arc::new(changed), found.version).await.unwrap());
    }

    pub(crate) async fn send<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let store = service_fn(move |request: Request<_>| {
            let sender = sender.clone();
            async move {
                let (head, body) = request.into_parts();
                let read = BodyExt::collect(body).await;
                let trailers = read.as_ref().ok().and_then(|read| read.trailers().cloned());
                let trailers = trailers.unwrap_or_default();
                let body = read.map(http_body_util::Collected::to_bytes);
                let body = body.map_err(|error: PayloadError| format!("{:?}", error.kind()));
                // The app ignores errors of the body: it always responds with 200.
                let key = head.extensions.get::<VerifiedKey>().cloned();
                let form = head.extensions.get::<PostForm>().cloned();
                let operation = head.extensions.get::<S3Operation<'static>>().cloned();
                let headers = head.headers;
                let reached = Reached { key, form, operation, headers, trailers, body };
                sender.send(reached).unwrap();
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("stored")))
            }
        });
        let response = self.layer.layer(store).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            code: head.extensions.get().copied(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            reached: receiver.try_recv().ok(),
        }
    }
}

impl Answer {
    /// Checks that the request was verified and reached the store.
    #[track_caller]
    pub(crate) fn verified(self) -> Reached {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        let reached = self.reached.expect("the request reached the store");
        assert!(reached.key.is_some(), "the request has no verified key");
        reached
    }

    /// Checks that the request was refused with this code before it reached the store.
    #[track_caller]
    pub(crate) fn refused(&self, code: S3ErrorCode) {
        assert!(self.reached.is_none(), "the request reached the store: {:?}", self.reached);
        self.has_code(code);
    }

    /// Checks the code of the response.
    #[track_caller]
    pub(crate) fn has_code(&self, code: S3ErrorCode) {
        assert_eq!((self.code, self.status), (Some(code), code.status()), "{}", self.body);
        assert!(self.body.contains(&format!("<Code>{code}</Code>")), "{}", self.body);
    }
}

/// An active key of alice's, in the project `demo`.
pub(crate) fn record(access: &str, secret: &str) -> Credential {
    records::pair_in("demo", "alice", access, secret)
}

/// A request without a signature.
pub(crate) fn request(method: &str, target: &str) -> http::request::Builder {
    Request::builder().method(method).uri(target).header("host", HOST)
}
