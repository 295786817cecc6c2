//! A layer with the AWS wires, and clients that sign.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use test_support::{aws_signer::Signer, clock::TestClock, records};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    CredentialLayer, CredentialLayerBuilder, Route,
    auth::StaticTokens,
    aws::AwsWires,
    backend::{CredentialBackend, memory::MemoryBackend},
    clock::Clock,
    domain::{AccessKey, Credential, Quota, SecretKey},
    s3::S3AuthLayer,
};

pub(crate) const HOST: &str = "s3.example.org:8338";
pub(crate) const ACCESS: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
pub(crate) const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";
pub(crate) const STS: &str = "2011-06-15";
pub(crate) const IAM: &str = "2010-05-08";

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The layer, with a key of alice's in the project `demo`.
pub(crate) struct Front {
    pub(crate) backend: MemoryBackend,
    pub(crate) clock: TestClock,
    pub(crate) layer: CredentialLayer,
}

/// The response to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
    /// The operation that gave it; empty for the app.
    pub(crate) route: String,
}

/// The credentials of a client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) access: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl Front {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder.aws(AwsWires::new())).await
    }

    pub(crate) async fn with(
        set: impl FnOnce(CredentialLayerBuilder) -> CredentialLayerBuilder,
    ) -> Self {
        let (backend, clock) = (MemoryBackend::default(), TestClock::default());
        let record = Arc::new(records::pair_in("demo", "alice", ACCESS, SECRET));
        backend.insert(&record, Quota::Unlimited).await.unwrap();
        let tokens = StaticTokens::new();
        let builder = CredentialLayer::builder(tokens, backend.clone()).clock(clock.clone());
        Self { backend, clock, layer: set(builder).build().unwrap() }
    }

    pub(crate) async fn add(&self, record: Credential) {
        self.backend.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
    }

    /// Changes alice's key.
    pub(crate) async fn change(&self, change: impl FnOnce(&mut Credential)) {
        let access = AccessKey::from_stored(ACCESS);
        let found = self.backend.find_by_access_key(&access).await.unwrap().unwrap();
        let mut changed = (*found).clone().touched(found.updated_at);
        change(&mut changed);
        assert!(self.backend.update(&Arc::new(changed), found.version).await.unwrap());
    }

    /// Sends parameters to STS, signed.
    pub(crate) async fn sts(&self, client: &Client, params: &[(&str, &str)]) -> Answer {
        self.send(self.signed(client, "sts", STS, params)).await
    }

    /// Sends parameters to IAM, signed.
    pub(crate) async fn iam(&self, client: &Client, params: &[(&str, &str)]) -> Answer {
        self.send(self.signed(client, "iam", IAM, params)).await
    }

    pub(crate) fn signed(
        &self,
        client: &Client,
        service: &str,
        version: &str,
        params: &[(&str, &str)],
    ) -> Request<Full<Bytes>> {
        let mut all = params.to_vec();
        all.push(("Version", version));
        self.sign(client, service, post("/", &form(&all)))
    }

    pub(crate) fn sign(
        &self,
        client: &Client,
        service: &str,
        mut request: Request<Full<Bytes>>,
    ) -> Request<Full<Bytes>> {
        if let Some(token) = &client.token {
            request.headers_mut().insert("x-amz-security-token", token.parse().unwrap());
        }
        let body = now_or_never(request.body().clone());
        let signer = Signer::new(&client.access, &client.secret, self.clock.now());
        signer.service(service).body(body).sign(request).0
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let app = service_fn(|_: Request<Full<Bytes>>| async {
            let response = Response::builder().status(StatusCode::IM_A_TEAPOT);
            Ok::<_, Infallible>(response.body(Full::<Bytes>::from("the app")).unwrap())
        });
        let response = self.layer.layer(app).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let route = head.extensions.get().map(Route::to_string).unwrap_or_default();
        Answer { status: head.status, headers: head.headers, body, route }
    }

    /// Returns whether a store on the same keys admits this request.
    pub(crate) async fn admits(&self, client: &Client, method: &str, target: &str) -> bool {
        let store = service_fn(|_| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("stored")))
        });
        let keys = tower_credentials::backend::Uncached(self.backend.clone());
        let layer = S3AuthLayer::builder(keys).clock(self.clock.clone()).build().unwrap();
        let request = Request::builder().method(method).uri(target).header("host", HOST);
        let request = self.sign(client, "s3", request.body(Full::default()).unwrap());
        layer.layer(store).oneshot(request).await.unwrap().status() == StatusCode::OK
    }
}

impl Client {
    /// Alice's key.
    pub(crate) fn alice() -> Self {
        Self::key(ACCESS, SECRET)
    }

    pub(crate) fn key(access: &str, secret: &str) -> Self {
        Self { access: access.into(), secret: secret.into(), token: None }
    }

    pub(crate) fn parent(&self) -> (AccessKey, SecretKey) {
        (AccessKey::from_stored(&*self.access), SecretKey::from_stored(&*self.secret))
    }
}

impl Answer {
    /// Checks that the request succeeded. Returns the credentials of its session.
    #[track_caller]
    pub(crate) fn issued(&self) -> Client {
        self.ok();
        Client {
            access: self.text("AccessKeyId"),
            secret: self.text("SecretAccessKey"),
            token: Some(self.text("SessionToken")),
        }
    }

    /// Checks that the request succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        assert_eq!(self.headers["content-type"], "text/xml");
        assert_eq!(self.headers["cache-control"], "no-store");
        let id = self.headers["x-amzn-requestid"].to_str().unwrap();
        assert_eq!(self.text("RequestId"), id);
    }

    /// Checks the error of the response.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert!(self.body.starts_with("<ErrorResponse xmlns="), "{}", self.body);
        assert_eq!(self.text("Code"), code, "{}", self.body);
        let kind = if status >= 500 { "Receiver" } else { "Sender" };
        assert_eq!(self.text("Type"), kind);
        assert!(!self.text("Message").is_empty());
        let id = self.headers["x-amzn-requestid"].to_str().unwrap();
        assert_eq!(self.text("RequestId"), id);
        assert_eq!(self.headers["content-type"], "text/xml");
    }

    /// Returns the text of the only element of this name.
    #[track_caller]
    pub(crate) fn text(&self, name: &str) -> String {
        let mut texts = self.texts(name);
        assert_eq!(texts.len(), 1, "{name} in {}", self.body);
        texts.remove(0)
    }

    /// Returns the texts of all elements of this name.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        let rest = self.body.split(&start).skip(1);
        rest.map(|rest| rest.split(&end).next().unwrap().to_owned()).collect()
    }

    /// The body with `ID` in place of the id of the request.
    pub(crate) fn body(&self) -> String {
        self.body.replace(&self.text("RequestId"), "ID")
    }

    /// Checks that the app got the request.
    #[track_caller]
    pub(crate) fn passed(&self) {
        assert_eq!((self.status, &*self.body), (StatusCode::IM_A_TEAPOT, "the app"));
    }
}

/// Parameters as a client writes them.
pub(crate) fn form(params: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| {
        let [name, value] = [name, value].map(|text| utf8_percent_encode(text, UNRESERVED));
        format!("{name}={value}")
    };
    params.iter().map(pair).collect::<Vec<_>>().join("&")
}

pub(crate) fn post(target: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(target)
        .header("host", HOST)
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// The bytes of a body that is there.
fn now_or_never(body: Full<Bytes>) -> Vec<u8> {
    let mut collecting = std::pin::pin!(body.collect());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match collecting.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(body) => body.unwrap().to_bytes().to_vec(),
        std::task::Poll::Pending => panic!("the body is not there"),
    }
}
