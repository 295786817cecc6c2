//! Requests to one Keystone: connections, limits of time and size, and one retry.

use std::{
    fmt,
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tower::Service;

use super::error::{KeystoneError, KeystoneErrorKind};
use crate::tls;

/// Maximum size of an answer other than a list, in bytes.
pub(super) const MAX_ANSWER: usize = 1 << 20;

/// Maximum size of a list, in bytes.
pub(super) const MAX_LIST: usize = 32 << 20;

/// How many requests run at once. Further ones wait, within their own timeout. Without a bound, a
/// flood of unknown tokens would open as many connections.
const MAX_REQUESTS: usize = 100;

pub(super) const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
pub(super) const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// An answer of Keystone.
#[derive(Clone)]
pub struct KeystoneAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl KeystoneAnswer {
    /// Returns whether Keystone itself reports that the thing does not exist, and not a proxy
    /// that does not know Keystone.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        #[derive(Deserialize)]
        struct Envelope {
            error: Error,
        }
        #[derive(Deserialize)]
        struct Error {
            code: u16,
        }
        self.status == StatusCode::NOT_FOUND
            && serde_json::from_slice(&self.body)
                .is_ok_and(|Envelope { error }| error.code == StatusCode::NOT_FOUND.as_u16())
    }
}

impl fmt::Debug for KeystoneAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and body may hold secrets.
        let mut shown = f.debug_struct("KeystoneAnswer");
        shown.field("status", &self.status).field("body_len", &self.body.len());
        shown.finish_non_exhaustive()
    }
}

/// A request to Keystone. It can be sent more than once.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// Path and query below `/v3`.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) max_answer: usize,
    /// Whether sending it twice has the effect of sending it once.
    pub(super) is_idempotent: bool,
}

impl Outgoing {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            max_answer: MAX_ANSWER,
            is_idempotent: true,
        }
    }
}

/// The connections to one Keystone.
pub(super) struct Transport {
    pool: Pool,
    /// Scheme, host and path, up to and with `/v3`.
    base: Uri,
    host: HeaderValue,
    permits: Semaphore,
    pub(super) timeout: Duration,
}

impl Transport {
    /// `base` is the URL up to and with `/v3`. Returns `None` if it is not valid.
    pub(super) fn new(base: &str, tls: rustls::ClientConfig, timeout: Duration) -> Option<Self> {
        let base: Uri = base.parse().ok()?;
        let host = HeaderValue::from_str(base.authority()?.as_str()).ok()?;
        let pool = Pool::new(base.clone(), tls, timeout);
        Some(Self { pool, base, host, permits: Semaphore::new(MAX_REQUESTS), timeout })
    }

    pub(super) fn base(&self) -> &Uri {
        &self.base
    }

    /// Sends a request and reads the whole answer. The caller sets the timeout.
    pub(super) async fn send(&self, outgoing: &Outgoing) -> Result<KeystoneAnswer, KeystoneError> {
        let request = || self.request(outgoing);
        let _permit = self.permits.acquire().await;
        if let Some(mut connection) = self.pool.take().await {
            match connection.try_send_request(request()?).await {
                Ok(response) => return self.finish(connection, response, outgoing).await,
                // The server may have closed the connection while it was idle.
                Err(mut error) => {
                    self.pool.clear();
                    if error.take_message().is_none() && !outgoing.is_idempotent {
                        return Err(connection_lost(error.into_error()));
                    }
                }
            }
        }
        let mut connection = self.pool.open().await?;
        let response = connection.send_request(request()?).await.map_err(connection_lost)?;
        self.finish(connection, response, outgoing).await
    }

    async fn finish(
        &self,
        connection: Connection,
        response: Response<Incoming>,
        outgoing: &Outgoing,
    ) -> Result<KeystoneAnswer, KeystoneError> {
        let answer = read(response, outgoing.max_answer).await?;
        self.pool.put_back(connection);
        Ok(answer)
    }

    fn request(&self, outgoing: &Outgoing) -> Result<Request<Full<Bytes>>, KeystoneError> {
        let target = format!("{}{}", self.base.path(), outgoing.path);
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() =
            target.parse().map_err(|_| KeystoneError::unexpected("the path is not valid"))?;
        *request.headers_mut() = outgoing.headers.clone();
        let json = HeaderValue::from_static("application/json");
        if !outgoing.body.is_empty() {
            request.headers_mut().insert(CONTENT_TYPE, json.clone());
        }
        request.headers_mut().insert(ACCEPT, json);
        request.headers_mut().insert(HOST, self.host.clone());
        Ok(request)
    }
}

fn connection_lost(error: hyper::Error) -> KeystoneError {
    let message = "the connection to Keystone was lost";
    KeystoneError::new(KeystoneErrorKind::Unreachable, message).with_source(error.into())
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
            let failed = KeystoneError::unexpected(
                "the connection was lost while reading Keystone's answer",
            );
            Err(match error.downcast::<hyper::Error>() {
                Ok(error) => failed.with_source(error),
                Err(_) => failed,
            })
        }
    }
}

/// How many idle connections are kept.
const MAX_IDLE: usize = 10;

/// A connection that carries one request at a time.
type Connection = SendRequest<Full<Bytes>>;

/// Idle connections.
///
/// A connection is opened only when a request needs it. A Keystone with few workers waits for the
/// first request of each connection and serves no other client meanwhile.
struct Pool {
    connector: HttpsConnector<HttpConnector>,
    target: Uri,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    fn new(target: Uri, tls: rustls::ClientConfig, timeout: Duration) -> Self {
        let connector = tls::connector(tls, timeout);
        Self { connector, target, idle: Mutex::default() }
    }

    /// Takes an idle connection that is still open, as far as is known.
    async fn take(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle().pop()?;
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// Opens a new connection.
    async fn open(&self) -> Result<Connection, KeystoneError> {
        let failed =
            || KeystoneError::new(KeystoneErrorKind::Unreachable, "cannot connect to Keystone");
        let mut connector = self.connector.clone();
        let ready = poll_fn(|cx| connector.poll_ready(cx)).await;
        ready.map_err(|error| failed().with_source(error))?;
        let stream = connector.call(self.target.clone()).await;
        let stream = stream.map_err(|error| failed().with_source(error))?;
        let (connection, driver) =
            http1::handshake(stream).await.map_err(|error| failed().with_source(error.into()))?;
        // The task ends with the connection. The requests get its errors.
        tokio::spawn(driver);
        Ok(connection)
    }

    /// Keeps a connection whose last answer was read to its end.
    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }

    /// Drops all idle connections. If the server closed one, it probably closed the others too.
    fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
