//! From a request to the listener to its response.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::backend::Keys;

/// The format of the page.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What the listener serves.
pub(super) struct Page {
    handle: PrometheusHandle,
    keys: Keys,
}

impl Page {
    pub(super) fn new(handle: PrometheusHandle, keys: Keys) -> Self {
        Self { handle, keys }
    }

    /// The response to a request: the one place that knows the paths of the listener.
    pub(super) fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/metrics" if *request.method() == Method::GET => self.metrics(),
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
