//! A small HTTP client, for JSON and for S3.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A client of one server. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: Http,
    /// For requests that the store may reject before it has read them. It then closes the
    /// connection, as HTTP/1.1 allows.
    store: Http,
    url: String,
}

type BoxError = Box<dyn Error + Send + Sync>;
type Http = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A response with its body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    pub fn new(url: &str) -> Self {
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        // A create must not be retried.
        builder.retry_canceled_requests(false);
        let http = builder.build(connector(None));
        let store = builder.pool_max_idle_per_host(0).build(connector(None));
        Self { http, store, url: url.to_owned() }
    }

    /// A client that uses TLS, and the version of HTTP that it negotiates: HTTP/2 if it can.
    pub fn tls(url: &str, config: ClientConfig) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector(Some(config)));
        Self { store: http.clone(), http, url: url.to_owned() }
    }

    /// A client that uses HTTP/2.
    pub fn http2(url: &str) -> Self {
        let http =
            legacy::Client::builder(TokioExecutor::new()).http2_only(true).build(connector(None));
        Self { store: http.clone(), http, url: url.to_owned() }
    }

    /// Sends a request that may fail.
    pub async fn try_send(&self, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
        answer(&self.http, request).await
    }

    /// Calls the API. A body is sent as JSON.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Answer, BoxError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !token.is_empty() {
            request = request.header("X-Auth-Token", token);
        }
        let body = body.map(|body| Bytes::from(body.to_string()));
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        self.try_send(request.body(Full::new(body.unwrap_or_default())).unwrap()).await
    }

    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Answer {
        let what = format!("{method} {path}");
        let answer = self.try_call(method, path, token, body).await;
        answer.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, token, None).await
    }

    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, token, Some(body)).await
    }

    /// Sends a request to a presigned URL.
    pub async fn send(&self, method: Method, url: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder().method(method).uri(url);
        answer(&self.store, request.body(Full::new(body.into())).unwrap()).await.unwrap()
    }
}

/// Connects over TCP, or over TLS with this configuration.
fn connector(tls: Option<ClientConfig>) -> HttpsConnector<HttpConnector> {
    let tls = tls.unwrap_or_else(|| {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    });
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    builder.enable_http1().enable_http2().build()
}

async fn answer(http: &Http, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
    let (head, body) = http.request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { status: head.status, version: head.version, headers: head.headers, body })
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// Checks an S3 error with this status and code.
    #[track_caller]
    pub fn fails(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert!(self.text().contains(&format!("<Code>{code}</Code>")), "{self:?}");
    }

    /// The texts of the XML elements with this name.
    pub fn all(&self, name: &str) -> Vec<String> {
        let (text, open, close) = (self.text(), format!("<{name}>"), format!("</{name}>"));
        let parts = text.split(&open).skip(1);
        parts.map(|part| part.split(&close).next().unwrap().to_owned()).collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks an S3 error with status 403 and this code.
    #[track_caller]
    pub fn refused(&self, code: &str) {
        assert_eq!(self.status, StatusCode::FORBIDDEN, "{self:?}");
        assert!(self.text().contains(&format!("<Code>{code}</Code>")), "{self:?}");
    }
}

/// A TCP connection for arbitrary bytes.
pub struct Raw(TcpStream);

impl Raw {
    pub async fn connect(host: &str) -> Self {
        Self(TcpStream::connect(host).await.unwrap())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until the response contains this text.
    pub async fn receive_until(&mut self, end: &str) -> String {
        let mut received = String::new();
        let mut buffer = [0; 4096];
        while !received.contains(end) {
            let length = self.0.read(&mut buffer).await.unwrap();
            assert_ne!(length, 0, "no {end:?} in {received:?}");
            received += &String::from_utf8_lossy(&buffer[..length]);
        }
        received
    }

    /// Reads until the server closes the connection.
    pub async fn receive_all(&mut self) -> String {
        let (mut received, mut buffer) = (String::new(), [0; 4096]);
        // A server that closes the connection without reading everything resets it.
        while let Ok(length @ 1..) = self.0.read(&mut buffer).await {
            received += &String::from_utf8_lossy(&buffer[..length]);
        }
        received
    }
}
