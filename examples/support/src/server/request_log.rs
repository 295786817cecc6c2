//! One log line for each request.

use std::{
    fmt::Write as _,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::Instant;
use tower_credentials::{ClientAddress, RequestId, Route};

use super::requests::Running;

/// The maximum length of a path in the log, in bytes.
const MAX_PATH: usize = 256;

/// The path after this is a secret.
const TOKENS: &str = "/tokens/";

/// A request, which is logged when it is dropped.
pub(super) struct Line {
    method: &'static str,
    uri: Uri,
    route: Option<Route>,
    status: Option<StatusCode>,
    bytes: u64,
    /// The size of the body, if the response has it.
    length: Option<u64>,
    began: Instant,
    id: RequestId,
    source: Option<IpAddr>,
    /// Whether the whole response was handed to the connection.
    is_complete: bool,
    /// The connection is not idle before the line is logged.
    _running: Running,
}

impl Line {
    pub(super) fn new<B>(request: &Request<B>, id: RequestId, running: Running) -> Self {
        let source = request.extensions().get().map(|ClientAddress(address)| *address);
        Self {
            method: method(request.method()),
            uri: request.uri().clone(),
            route: None,
            status: None,
            bytes: 0,
            length: None,
            began: Instant::now(),
            id,
            source,
            is_complete: false,
            _running: running,
        }
    }

    /// Logs the request when the body of the response is sent or dropped.
    pub(super) fn until_sent<B: Body>(mut self, response: Response<B>) -> Response<Sent<B>> {
        self.status = Some(response.status());
        self.route = response.extensions().get().copied();
        let has_no_body = self.method == "HEAD"
            || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = response.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        self.length = length.or_else(|| response.body().size_hint().exact());
        self.is_complete = has_no_body || self.length == Some(0) || response.body().is_end_stream();
        response.map(|body| Sent { body, line: self })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let route = || match self.route {
            Some(route) => route.to_string(),
            None => path(&self.uri),
        };
        let micros = u32::try_from(self.began.elapsed().as_micros()).unwrap_or(u32::MAX);
        tracing::info!(
            target: "requests",
            method = self.method,
            route = route(),
            status = self.status.map(|status| status.as_u16()),
            time_ms = f64::from(micros) / 1_000.0,
            bytes = self.bytes,
            request_id = %self.id,
            source = self.source.map(tracing::field::display),
            cut_off = (!self.is_complete).then_some(true),
            "request"
        );
    }
}

/// The body of a response, which ends its request.
#[pin_project]
pub(super) struct Sent<B> {
    #[pin]
    body: B,
    line: Line,
}

impl<B: Body> Body for Sent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, bytes::Buf::remaining);
                this.line.bytes += length as u64;
                // hyper does not read on.
                let is_sent = this.line.length == Some(this.line.bytes);
                this.line.is_complete = is_sent || this.body.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) => this.line.is_complete = false,
            Poll::Ready(None) => this.line.is_complete = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The path of a request for the log, without the query, which may contain a presigned URL's
/// signature, and without what follows `/tokens/`, which is a token in Keystone's v2.0. Bytes that are
/// not printable ASCII are percent-encoded, and a long path is cut.
pub(super) fn path(uri: &Uri) -> String {
    let path = uri.path();
    let end = path.find(TOKENS).map_or(path.len(), |start| start + TOKENS.len());
    let mut text = String::new();
    for (at, byte) in path.bytes().enumerate() {
        if text.len() >= MAX_PATH || at == end {
            text.push_str("...");
            break;
        }
        if byte.is_ascii_graphic() {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Returns the name of a method; `other` for those that HTTP does not define, which a client could
/// choose.
pub(super) fn method(method: &Method) -> &'static str {
    match *method {
        Method::CONNECT => "CONNECT",
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}
