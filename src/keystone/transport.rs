//! Requests and answers: connections, bounds of time and size, one retry.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, Error as ClientError, connect::HttpConnector},
    rt::TokioExecutor,
    rt::TokioTimer,
};
use tokio::sync::Semaphore;

use super::{KeystoneError, KeystoneErrorKind};

/// Largest answer, but for lists, in bytes.
pub(super) const MAX_ANSWER: usize = 1 << 20;

/// Largest list, in bytes.
pub(super) const MAX_LIST: usize = 32 << 20;

/// How many requests may be under way; more wait, within their own time. Without
/// a bound a flood of unknown tokens would open as many connections.
const AT_ONCE: usize = 100;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
pub(super) const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// What Keystone answered.
#[derive(Clone)]
pub struct KeystoneAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Headers and body may hold secrets.
impl fmt::Debug for KeystoneAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KeystoneAnswer");
        shown.field("status", &self.status).field("body_len", &self.body.len());
        shown.finish_non_exhaustive()
    }
}

/// A request to Keystone, which can be sent more than once.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// Path and query below `/v3`.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) max_answer: usize,
    /// Whether sending it twice does no more than sending it once.
    pub(super) repeatable: bool,
}

impl Outgoing {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            max_answer: MAX_ANSWER,
            repeatable: true,
        }
    }
}

/// Pooled connections to one Keystone.
pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Scheme, host and path, up to and with `/v3`.
    base: String,
    permits: Semaphore,
    pub(super) timeout: Duration,
}

impl Transport {
    pub(super) fn new(base: String, tls: rustls::ClientConfig, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT.min(timeout)));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Self { client, base, permits: Semaphore::new(AT_ONCE), timeout }
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request and reads the whole answer. The caller sets the time limit.
    pub(super) async fn send(&self, outgoing: &Outgoing) -> Result<KeystoneAnswer, KeystoneError> {
        let uri: Uri = format!("{}{}", self.base, outgoing.path)
            .parse()
            .map_err(|_| KeystoneError::unexpected("not a path"))?;
        let _permit = self.permits.acquire().await;
        let response = match self.client.request(request(outgoing, uri.clone())).await {
            // A server may close a connection that it kept alive just when it is used.
            Err(error) if outgoing.repeatable && broke_off(&error) => {
                self.client.request(request(outgoing, uri)).await
            }
            sent => sent,
        };
        read(response.map_err(unreachable)?, outgoing.max_answer).await
    }
}

fn request(outgoing: &Outgoing, uri: Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(outgoing.body.clone()));
    *request.method_mut() = outgoing.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = outgoing.headers.clone();
    let json = HeaderValue::from_static("application/json");
    if !outgoing.body.is_empty() {
        request.headers_mut().insert(CONTENT_TYPE, json.clone());
    }
    request.headers_mut().insert(ACCEPT, json);
    request
}

async fn read(
    response: Response<Incoming>,
    max_answer: usize,
) -> Result<KeystoneAnswer, KeystoneError> {
    let (head, body) = response.into_parts();
    match Limited::new(body, max_answer).collect().await {
        Ok(body) => {
            Ok(KeystoneAnswer { status: head.status, headers: head.headers, body: body.to_bytes() })
        }
        Err(error) if error.is::<LengthLimitError>() => {
            Err(KeystoneError::unexpected("Keystone's answer is too large"))
        }
        Err(error) => {
            let failed = KeystoneError::unexpected("Keystone's answer broke off");
            Err(match error.downcast::<hyper::Error>() {
                Ok(error) => failed.with_source(*error),
                Err(_) => failed,
            })
        }
    }
}

fn unreachable(error: ClientError) -> KeystoneError {
    let message = if error.is_connect() {
        "no connection to Keystone"
    } else {
        "the connection to Keystone broke"
    };
    KeystoneError::new(KeystoneErrorKind::Unreachable, message).with_source(error)
}

/// Whether an established connection ended before there was an answer.
fn broke_off(error: &ClientError) -> bool {
    !error.is_connect()
}
