//! From a request to the listener to its response.

use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{backend::Keys, health::Health};

/// The format of the page.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What the listener serves.
pub(super) struct Page {
    handle: PrometheusHandle,
    keys: Keys,
    health: Health,
}

impl Page {
    pub(super) fn new(handle: PrometheusHandle, keys: Keys, health: Health) -> Self {
        Self { handle, keys, health }
    }

    /// The response to a request: the one place that knows the paths of the listener.
    pub(super) async fn respond(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if let Some(response) = self.health.answer(method, path).await {
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
        self.keys.publish_metrics();
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
