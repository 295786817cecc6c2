//! From a request to the listener to its response.

use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;

use tower_credentials::{audit::file::AuditFile, guessers::Guessers};

use crate::{backend::Keys, health::Health};

/// The format of the page.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What the listener serves.
pub(super) struct Page {
    handle: PrometheusHandle,
    sources: Sources,
}

/// What is published at each scrape, besides what records by itself.
pub struct Sources {
    /// The cache of the store.
    pub keys: Keys,
    /// What counts the guesses, if that is on.
    pub guessers: Option<Guessers>,
    /// The audit file, if there is one.
    pub audit: Option<AuditFile>,
    /// The health of the server, which the listener serves too.
    pub health: Health,
}

impl Page {
    pub(super) fn new(handle: PrometheusHandle, sources: Sources) -> Self {
        Self { handle, sources }
    }

    /// The response to a request: the one place that knows the paths of the listener.
    pub(super) async fn respond(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if let Some(response) = self.sources.health.answer(method, path).await {
            return response;
        }
        match path {
            "/metrics" if *method == Method::GET => self.metrics(),
            "/metrics" => {
                let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
                response
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let Sources { keys, guessers, audit, health: _ } = &self.sources;
        keys.publish_metrics();
        if let Some(guessers) = guessers {
            guessers.publish_metrics();
        }
        if let Some(audit) = audit {
            audit.publish_metrics();
        }
        let mut response = Response::new(self.handle.render().into());
        response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
        response
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
