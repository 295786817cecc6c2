//! Forwards requests to Keystone, and streams bodies in both directions.
//!
//! Normalized paths, queries, methods, statuses and bodies do not change. If a client disconnects,
//! its request to Keystone is canceled.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::time::{Instant, sleep_until};
use tower::Service;
use tower_credentials::ClientTls;

use crate::{
    headers::{self, Peer},
    options::Options,
    request_body::{Progress, State, TimedBody},
    response_body::ReadLimited,
    responses::{Body, BoxError, error_response, retry_later},
};

/// The timeout for a connection to Keystone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an idle connection is kept. Less than the two seconds of some servers that Keystone
/// runs behind.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

type Client = legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// A service that forwards to Keystone. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Proxy {
    client: Client,
    scheme: Scheme,
    authority: Authority,
    /// The timeout for the head of Keystone's response, and for each frame of a body.
    timeout: Duration,
    trust_forwarded: bool,
}

impl Proxy {
    pub fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let keystone = &options.keystone;
        let (Some(scheme), Some(authority)) = (keystone.scheme(), keystone.authority()) else {
            return Err("--keystone must be a URL such as http://127.0.0.1:5000".into());
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = tls(*scheme == Scheme::HTTPS, options.ca()?)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector.https_or_http().enable_http1().wrap_connector(tcp));
        Ok(Self {
            client,
            scheme: scheme.clone(),
            authority: authority.clone(),
            timeout: options.timeout(),
            trust_forwarded: options.trust_forwarded,
        })
    }

    async fn forward<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(rejection) = reject(&request) {
            return rejection;
        }
        let Ok(uri) = self.uri(request.uri()) else {
            return error_response(StatusCode::BAD_REQUEST, "The request target is not valid.");
        };
        let (mut parts, body) = request.into_parts();
        let address = parts.extensions.get::<SocketAddr>().copied();
        let is_encrypted = matches!(parts.extensions.get(), Some(ClientTls::Version(_)));
        let peer = Peer { address, scheme: if is_encrypted { "https" } else { "http" } };
        headers::prepare(&mut parts, peer, self.trust_forwarded);
        let (method, headers) = (parts.method, parts.headers);

        // Keystone may close an idle connection just when a request is sent on it. A safe request
        // without a body is retried.
        let retry = method.is_safe() && body.is_end_stream();
        let retry = retry.then(|| build(&method, &uri, &headers, empty_body()));
        let body = TimedBody::new(body, self.timeout).with_min_rate();
        let progress = body.progress();
        let first = build(&method, &uri, &headers, body.boxed_unsync());
        let result = match (self.send(first, &progress).await, retry) {
            (Err(Failure::Disconnected(_)), Some(retry)) => self.send(retry, &progress).await,
            (result, _) => result,
        };
        match result {
            Ok(response) => to_client(response, self.timeout),
            Err(failure) => failure.into_response(),
        }
    }

    /// Sends a request, and waits for the head of the response. The timeout starts when the last
    /// frame of the body was sent.
    async fn send(
        &self,
        request: Request<Body>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let mut response = std::pin::pin!(self.client.request(request));
        let mut since = Instant::now();
        loop {
            tokio::select! {
                response = &mut response => return response.map_err(|error| {
                    if progress.get().is_stalled { Failure::ClientStalled } else { Failure::of(error) }
                }),
                () = sleep_until(since + self.timeout) => match progress.get() {
                    // The client is slow; `TimedBody` limits its time.
                    State { is_awaited: true, .. } => since = Instant::now(),
                    State { last_frame: Some(at), .. } if at > since => since = at,
                    State { is_stalled: true, .. } => return Err(Failure::ClientStalled),
                    _ => return Err(Failure::TimedOut),
                },
            }
        }
    }

    /// Keystone's URI with the path and query of the request.
    fn uri(&self, original: &Uri) -> Result<Uri, http::Error> {
        let path = original.path_and_query().cloned();
        let path = path.unwrap_or(PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path).build()
    }
}

impl<B> Service<Request<B>> for Proxy
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.forward(request).await) })
    }
}

/// The TLS configuration: trusts the system's certificate authorities, or only those in `pem`.
fn tls(needed: bool, pem: Option<Vec<u8>>) -> Result<ClientConfig, Box<dyn Error>> {
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()?;
    let mut roots = RootCertStore::empty();
    if let Some(pem) = pem {
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate?)?;
        }
    } else if needed {
        return Ok(config.with_native_roots()?.with_no_client_auth());
    }
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Rejects requests for other kinds of proxies.
fn reject<B>(request: &Request<B>) -> Option<Response<Body>> {
    // An offer of HTTP/2 may be ignored.
    let offers = request.headers().get_all(header::UPGRADE);
    let upgrades = offers.iter().any(|offer| !offer.as_bytes().eq_ignore_ascii_case(b"h2c"));
    if request.method() == Method::CONNECT {
        return Some(error_response(
            StatusCode::NOT_IMPLEMENTED,
            "The method CONNECT is not supported.",
        ));
    }
    if upgrades {
        return Some(error_response(
            StatusCode::NOT_IMPLEMENTED,
            "Upgrades to other protocols are not supported.",
        ));
    }
    if request.version() < Version::HTTP_2 && request.uri().authority().is_some() {
        let message = "The request target must be a path, not a whole URL.";
        return Some(error_response(StatusCode::BAD_REQUEST, message));
    }
    None
}

fn build(method: &Method, uri: &Uri, headers: &HeaderMap, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    request.method_mut().clone_from(method);
    request.uri_mut().clone_from(uri);
    request.headers_mut().clone_from(headers);
    request
}

/// Prepares Keystone's response for the client.
fn to_client(mut response: Response<Incoming>, timeout: Duration) -> Response<Body> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Failure::NotHttp("unexpected protocol upgrade".into()).into_response();
    }
    headers::remove_hop_by_hop(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    response.map(|body| {
        let body = TimedBody::new(body, timeout).map_err(|error| {
            tracing::warn!(error = &*error, "Keystone's response ended early");
            error
        });
        ReadLimited::new(body).boxed_unsync()
    })
}

fn empty_body() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Why Keystone did not respond.
enum Failure {
    ClientStalled,
    Disconnected(BoxError),
    NotHttp(BoxError),
    TimedOut,
    Unreachable(BoxError),
}

impl Failure {
    fn of(error: legacy::Error) -> Self {
        let timed_out = causes(&error).any(|cause| {
            let io = cause.downcast_ref::<io::Error>();
            io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        });
        let not_http = causes(&error).any(|cause| {
            let hyper = cause.downcast_ref::<hyper::Error>();
            hyper.is_some_and(hyper::Error::is_parse)
        });
        match () {
            () if timed_out => Self::TimedOut,
            () if error.is_connect() => Self::Unreachable(error.into()),
            () if not_http => Self::NotHttp(error.into()),
            () => Self::Disconnected(error.into()),
        }
    }

    fn into_response(self) -> Response<Body> {
        match self {
            Self::ClientStalled => error_response(
                StatusCode::REQUEST_TIMEOUT,
                "The request body did not arrive in time.",
            ),
            Self::Disconnected(error) => {
                tracing::warn!(error = &*error, "Keystone closed the connection");
                retry_later(
                    StatusCode::BAD_GATEWAY,
                    "Keystone closed the connection without a response.",
                )
            }
            Self::NotHttp(error) => {
                tracing::warn!(error = &*error, "Keystone's response is not HTTP");
                error_response(StatusCode::BAD_GATEWAY, "Keystone's response is not valid HTTP.")
            }
            Self::TimedOut => {
                tracing::warn!("Keystone did not respond in time");
                retry_later(StatusCode::GATEWAY_TIMEOUT, "Keystone did not respond in time.")
            }
            Self::Unreachable(error) => {
                tracing::warn!(error = &*error, "Keystone cannot be reached");
                retry_later(StatusCode::BAD_GATEWAY, "Keystone cannot be reached.")
            }
        }
    }
}

/// An error and its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
