//! Requests to Keystone and its answers back, as streams.
//!
//! Paths (in the one spelling that they have here), queries, methods, statuses and
//! bodies pass as they are. A client that hangs up ends its request to Keystone too.

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

use crate::{
    answers::{Body, BoxError, healthy, refusal, try_again},
    body::{Moved, Progress, Watched},
    forwarded,
    options::Options,
    returned::Returned,
};

/// How long a connection to Keystone may take to be made.
const CONNECT: Duration = Duration::from_secs(2);

/// How long a connection is kept without a request: less than the two seconds of
/// the most impatient server that Keystone runs behind.
const IDLE: Duration = Duration::from_secs(1);

type Client = legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// A Keystone, as a service. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Proxy {
    client: Client,
    scheme: Scheme,
    authority: Authority,
    /// How long Keystone may take to begin its answer, and how long a body may pause
    /// on its way in either direction.
    patience: Duration,
    trust_forwarded: bool,
}

impl Proxy {
    /// A proxy of the Keystone that the options name, on the same paths.
    pub fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let keystone = &options.keystone;
        let (Some(scheme), Some(authority)) = (keystone.scheme(), keystone.authority()) else {
            return Err("--keystone takes a URL such as http://127.0.0.1:5000".into());
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let tls = tls(*scheme == Scheme::HTTPS, options.ca()?)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector.https_or_http().enable_http1().wrap_connector(tcp));
        Ok(Self {
            client,
            scheme: scheme.clone(),
            authority: authority.clone(),
            patience: options.patience(),
            trust_forwarded: options.trust_forwarded,
        })
    }

    async fn forward<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if is_health_check(&request) {
            return healthy();
        }
        if let Some(refused) = refused(&request) {
            return refused;
        }
        let Ok(uri) = self.uri(request.uri()) else {
            return refusal(StatusCode::BAD_REQUEST, "The request target cannot be forwarded.");
        };
        let (mut parts, body) = request.into_parts();
        let peer = parts.extensions.get::<SocketAddr>().copied();
        forwarded::prepare(&mut parts, peer, self.trust_forwarded);
        let (method, headers) = (parts.method, parts.headers);

        // Keystone may hang up just as a kept connection is used again. What changes
        // nothing and has no body can be asked twice.
        let again = method.is_safe() && body.is_end_stream();
        let again = again.then(|| outgoing(&method, &uri, &headers, none()));
        let body = Watched::new(body, self.patience).paced();
        let progress = body.progress();
        let first = outgoing(&method, &uri, &headers, body.boxed_unsync());
        let result = match (self.answer(first, &progress).await, again) {
            (Err(Failure::HungUp(_)), Some(again)) => self.answer(again, &progress).await,
            (result, _) => result,
        };
        match result {
            Ok(answer) => returning(answer, self.patience),
            Err(failure) => failure.answer(),
        }
    }

    /// Sends a request and waits for the head of its answer: as long as its body
    /// moves, and then with patience.
    async fn answer(
        &self,
        request: Request<Body>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let mut answer = std::pin::pin!(self.client.request(request));
        let mut since = Instant::now();
        loop {
            tokio::select! {
                answer = &mut answer => return answer.map_err(|error| {
                    if progress.get().stalled { Failure::ClientStalled } else { Failure::of(error) }
                }),
                () = sleep_until(since + self.patience) => match progress.get() {
                    // It is the client who takes its time, and has its own bound.
                    Moved { awaited: true, .. } => since = Instant::now(),
                    Moved { at: Some(at), .. } if at > since => since = at,
                    Moved { stalled: true, .. } => return Err(Failure::ClientStalled),
                    _ => return Err(Failure::TimedOut),
                },
            }
        }
    }

    /// The same path and query at Keystone.
    fn uri(&self, asked: &Uri) -> Result<Uri, http::Error> {
        let path = asked.path_and_query().cloned();
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

/// Whom to trust for an encrypted Keystone: whoever signs for the system, or only these.
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

/// Asks for the front's own health: Keystone has no such path.
fn is_health_check<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET && request.uri().path() == "/healthz"
}

/// Requests for another kind of proxy.
fn refused<B>(request: &Request<B>) -> Option<Response<Body>> {
    // Clients offer HTTP/2 unasked; whoever does not take it just answers.
    let offers = request.headers().get_all(header::UPGRADE);
    let upgrades = offers.iter().any(|offer| !offer.as_bytes().eq_ignore_ascii_case(b"h2c"));
    if request.method() == Method::CONNECT {
        return Some(refusal(StatusCode::NOT_IMPLEMENTED, "This is no proxy for connections."));
    }
    if upgrades {
        return Some(refusal(StatusCode::NOT_IMPLEMENTED, "Only HTTP is spoken here."));
    }
    if request.version() < Version::HTTP_2 && request.uri().authority().is_some() {
        let message = "The request target must be a path, not a whole URL.";
        return Some(refusal(StatusCode::BAD_REQUEST, message));
    }
    None
}

fn outgoing(method: &Method, uri: &Uri, headers: &HeaderMap, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    request.method_mut().clone_from(method);
    request.uri_mut().clone_from(uri);
    request.headers_mut().clone_from(headers);
    request
}

/// Keystone's answer, on its way to the client.
fn returning(mut answer: Response<Incoming>, patience: Duration) -> Response<Body> {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Failure::Garbage("an upgrade that nobody asked for".into()).answer();
    }
    forwarded::drop_hop_by_hop(answer.headers_mut());
    *answer.version_mut() = Version::HTTP_11;
    answer.map(|body| {
        let body = Watched::new(body, patience).map_err(|error| {
            tracing::warn!(error = &*error, "Keystone's answer broke off");
            error
        });
        Returned::new(body).boxed_unsync()
    })
}

fn none() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Why there is no answer from Keystone.
enum Failure {
    ClientStalled,
    Garbage(BoxError),
    HungUp(BoxError),
    TimedOut,
    Unreachable(BoxError),
}

impl Failure {
    fn of(error: legacy::Error) -> Self {
        let timed_out = causes(&error).any(|cause| {
            let io = cause.downcast_ref::<io::Error>();
            io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        });
        let garbage = causes(&error).any(|cause| {
            let hyper = cause.downcast_ref::<hyper::Error>();
            hyper.is_some_and(hyper::Error::is_parse)
        });
        match () {
            () if timed_out => Self::TimedOut,
            () if error.is_connect() => Self::Unreachable(error.into()),
            () if garbage => Self::Garbage(error.into()),
            () => Self::HungUp(error.into()),
        }
    }

    fn answer(self) -> Response<Body> {
        match self {
            Self::ClientStalled => {
                refusal(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time.")
            }
            Self::Garbage(error) => {
                tracing::warn!(error = &*error, "Keystone's answer is not HTTP");
                refusal(StatusCode::BAD_GATEWAY, "Keystone's answer cannot be understood.")
            }
            Self::HungUp(error) => {
                tracing::warn!(error = &*error, "Keystone hung up");
                try_again(StatusCode::BAD_GATEWAY, "Keystone hung up without an answer.")
            }
            Self::TimedOut => {
                tracing::warn!("Keystone does not answer in time");
                try_again(StatusCode::GATEWAY_TIMEOUT, "Keystone does not answer in time.")
            }
            Self::Unreachable(error) => {
                tracing::warn!(error = &*error, "Keystone cannot be reached");
                try_again(StatusCode::BAD_GATEWAY, "Keystone cannot be reached.")
            }
        }
    }
}

/// An error, and what caused it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
