//! Whether a server runs, and whether it can serve: `GET /healthz` and `GET /readyz`.

mod check;
mod store;

use std::{
    fmt::Write as _,
    future::Future,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::task::JoinSet;

use self::check::Check;
pub(crate) use self::store::{FeedWatch, check_store};

/// The result of a check. The reasons are public: they contain no secret and no URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// The part works.
    Ok,
    /// The part has a problem, and requests can still be served.
    Degraded(String),
    /// Requests cannot be served.
    Failed(String),
}

/// The checks of a server. Clones share them.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    checks: RwLock<Vec<Arc<Check>>>,
    is_stopping: AtomicBool,
}

impl Health {
    /// Adds a check to `/readyz`. It runs when a client asks, at most once a second, and has a
    /// timeout of three seconds.
    pub fn add<F, R>(&self, name: &'static str, run: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Status> + Send + 'static,
    {
        let mut checks = self.0.checks.write().unwrap_or_else(PoisonError::into_inner);
        checks.push(Arc::new(Check::new(name, run)));
    }

    /// Fails `/readyz` from now on, because the server is about to stop.
    pub fn stop(&self) {
        self.0.is_stopping.store(true, Ordering::Relaxed);
    }

    /// The response to a request for the health of the server; `None` for other requests.
    pub async fn answer(&self, method: &Method, path: &str) -> Option<Response<Full<Bytes>>> {
        match (method, path) {
            (&Method::GET, "/healthz") => Some(response(StatusCode::OK, "ok\n".to_owned())),
            (&Method::GET, "/readyz") => {
                let (status, text) = self.ready().await;
                Some(response(status, text))
            }
            _ => None,
        }
    }

    /// The response on the listener of clients. A request with a signature is for a bucket with
    /// that name.
    pub(crate) async fn answer_unsigned<B>(
        &self,
        request: &Request<B>,
    ) -> Option<Response<Full<Bytes>>> {
        if !asks(request) {
            return None;
        }
        self.answer(request.method(), request.uri().path()).await
    }

    async fn ready(&self) -> (StatusCode, String) {
        if self.0.is_stopping.load(Ordering::Relaxed) {
            return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
        }
        let checks = self.0.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut running = JoinSet::new();
        for (n, check) in checks.iter().cloned().enumerate() {
            running.spawn(async move { (n, check.status().await) });
        }
        let mut results = vec![Status::Failed("the check failed".to_owned()); checks.len()];
        while let Some(ended) = running.join_next().await {
            if let Ok((n, result)) = ended {
                results[n] = result;
            }
        }
        let (mut status, mut text) = (StatusCode::OK, String::new());
        for (check, result) in checks.iter().zip(results) {
            let name = check.name();
            let _ = match result {
                Status::Ok => writeln!(text, "{name}: ok"),
                Status::Degraded(reason) => writeln!(text, "{name}: degraded: {reason}"),
                Status::Failed(reason) => {
                    status = StatusCode::SERVICE_UNAVAILABLE;
                    writeln!(text, "{name}: failed: {reason}")
                }
            };
        }
        (status, text)
    }
}

/// Returns whether a request on the listener of clients asks for the health of the server.
pub(crate) fn asks<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && matches!(request.uri().path(), "/healthz" | "/readyz")
        && request.uri().query().is_none()
        && !request.headers().contains_key(header::AUTHORIZATION)
}

fn response(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
