//! One request to one member.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::error::{Trouble, TroubleKind};

/// Largest answer, in bytes: some of the longest records.
const MAX_ANSWER: usize = 16 << 20;

/// Largest explanation of a failure, in bytes.
const MAX_FAILURE: usize = 64 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How many connections to one member are kept while nothing is asked.
const MAX_IDLE: usize = 256;

/// Sends requests; keeps connections.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Http {
    pub(super) fn new(tls: rustls::ClientConfig, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT.min(timeout)));
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        tcp.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(MAX_IDLE).build(connector);
        Self { client }
    }

    /// Sends a request and reads the whole answer. The caller sets the time limit.
    pub(super) async fn call(
        &self,
        uri: Uri,
        token: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Bytes, Trouble> {
        let response = self.open(uri, token, body).await?;
        read(response.into_body(), MAX_ANSWER).await
    }

    /// Sends a request whose answer is read as it comes.
    pub(super) async fn open(
        &self,
        uri: Uri,
        token: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Response<Incoming>, Trouble> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(token.map(|token| (AUTHORIZATION, token)));
        let response = self.client.request(request).await.map_err(|error| {
            let kind =
                if error.is_connect() { TroubleKind::Unreachable } else { TroubleKind::Broken };
            Trouble::new(kind, "no connection to etcd").with_source(error)
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        // Perhaps not etcd's, but of something in between.
        let body = read(response.into_body(), MAX_FAILURE).await.unwrap_or_default();
        Err(Trouble::answered(status, serde_json::from_slice(&body).ok().as_ref()))
    }
}

async fn read(body: Incoming, max: usize) -> Result<Bytes, Trouble> {
    match Limited::new(body, max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Trouble::new(TroubleKind::TooLarge, "etcd's answer is too large"))
        }
        Err(error) => {
            Err(Trouble::new(TroubleKind::Broken, "etcd's answer broke off").with_source(error))
        }
    }
}
