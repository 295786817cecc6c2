//! Requests and answers: connections, bounds of time and size, one retry.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::{
    KeystoneError, KeystoneErrorKind,
    pool::{Connection, Pool},
};

/// Largest answer, but for lists, in bytes.
pub(super) const MAX_ANSWER: usize = 1 << 20;

/// Largest list, in bytes.
pub(super) const MAX_LIST: usize = 32 << 20;

/// How many requests may be under way; more wait, within their own time. Without
/// a bound a flood of unknown tokens would open as many connections.
const AT_ONCE: usize = 100;

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

impl KeystoneAnswer {
    /// Whether it is Keystone that says there is no such thing, and not something in
    /// between that knows no Keystone.
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

/// Requests to one Keystone.
pub(super) struct Transport {
    pool: Pool,
    /// Scheme, host and path, up to and with `/v3`.
    base: Uri,
    host: HeaderValue,
    permits: Semaphore,
    pub(super) timeout: Duration,
}

impl Transport {
    /// `base` is the URL up to and with `/v3`; none if it is not one.
    pub(super) fn new(base: &str, tls: rustls::ClientConfig, timeout: Duration) -> Option<Self> {
        let base: Uri = base.parse().ok()?;
        let host = HeaderValue::from_str(base.authority()?.as_str()).ok()?;
        let pool = Pool::new(base.clone(), tls, timeout);
        Some(Self { pool, base, host, permits: Semaphore::new(AT_ONCE), timeout })
    }

    pub(super) fn base(&self) -> &Uri {
        &self.base
    }

    /// Sends a request and reads the whole answer. The caller sets the time limit.
    pub(super) async fn send(&self, outgoing: &Outgoing) -> Result<KeystoneAnswer, KeystoneError> {
        let request = || self.request(outgoing);
        let _permit = self.permits.acquire().await;
        if let Some(mut connection) = self.pool.kept().await {
            match connection.try_send_request(request()?).await {
                Ok(response) => return self.finish(connection, response, outgoing).await,
                // A server may close a connection that it kept just when it is used.
                Err(mut error) => {
                    self.pool.forget();
                    if error.take_message().is_none() && !outgoing.repeatable {
                        return Err(broken(error.into_error()));
                    }
                }
            }
        }
        let mut connection = self.pool.open().await?;
        let response = connection.send_request(request()?).await.map_err(broken)?;
        self.finish(connection, response, outgoing).await
    }

    async fn finish(
        &self,
        connection: Connection,
        response: Response<Incoming>,
        outgoing: &Outgoing,
    ) -> Result<KeystoneAnswer, KeystoneError> {
        let answer = read(response, outgoing.max_answer).await?;
        self.pool.keep(connection);
        Ok(answer)
    }

    fn request(&self, outgoing: &Outgoing) -> Result<Request<Full<Bytes>>, KeystoneError> {
        let target = format!("{}{}", self.base.path(), outgoing.path);
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = target.parse().map_err(|_| KeystoneError::unexpected("not a path"))?;
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

fn broken(error: hyper::Error) -> KeystoneError {
    let message = "the connection to Keystone broke";
    KeystoneError::new(KeystoneErrorKind::Unreachable, message).caused_by(error.into())
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
                Ok(error) => failed.caused_by(error),
                Err(_) => failed,
            })
        }
    }
}
