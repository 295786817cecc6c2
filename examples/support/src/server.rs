//! Serving connections: health check, idle timeout, graceful shutdown.

use std::{
    error::Error,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, Method, Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tower::{Service, ServiceExt, util::BoxCloneService};
use tower_credentials::s3::{ClientAddress, ClientTls};
use tracing::Span;

/// How many connections are served at once. Further ones wait.
const MAX_CONNECTIONS: usize = 4_096;

/// How long a client may take to send the head of a request or to answer a ping, and how long
/// a connection may be idle. An idle connection is closed at most one look later.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a connection is examined in that time.
const LOOKS: u32 = 5;

/// How long requests may still run after the signal to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves until SIGTERM or SIGINT. Calls `on_listening` with the address.
///
/// The extensions of a request contain the client's address, and that its connection is not
/// encrypted. Keys with a boundary can depend on both.
pub async fn serve<S, B>(
    listen: SocketAddr,
    service: S,
    on_listening: impl FnOnce(SocketAddr),
) -> Result<(), Box<dyn Error>>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Future + Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    on_listening(listener.local_addr()?);

    let mut http = auto::Builder::new(TokioExecutor::new());
    // The idle timeout includes the head of a request. hyper's own would set a timer for each
    // request.
    http.http1().header_read_timeout(None);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
    // Detects clients that vanished during a request.
    http.http2().keep_alive_interval(CLIENT_TIMEOUT).keep_alive_timeout(CLIENT_TIMEOUT);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await?;
            Ok::<_, BoxError>((listener.accept().await?, permit))
        };
        let ((socket, peer), permit) = tokio::select! {
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Probably out of file descriptors: wait until others are closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        let _ = socket.set_nodelay(true);
        let requests = Requests::default();
        let (running, service) = (requests.clone(), service.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let extensions = request.extensions_mut();
            extensions.insert::<SocketAddr>(peer);
            // An IPv4 client of an IPv6 socket.
            extensions.insert(ClientAddress(peer.ip().to_canonical()));
            extensions.insert(ClientTls::None);
            let (guard, response) = (running.begin(), service.clone().oneshot(request));
            async move { response.await.map(|response| guard.until_sent(response)) }
        });
        let connection = http.serve_connection(TokioIo::new(socket), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                // A request that has arrived is served first.
                biased;
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                },
                // hyper has no timeout for the first byte, nor for requests on HTTP/2.
                () = requests.idle_for(CLIENT_TIMEOUT) => tracing::debug!("connection was idle"),
            }
            drop(permit);
        });
    }
    drop(listener);
    if timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running after {SHUTDOWN_TIMEOUT:?}");
    }
    Ok(())
}

/// Headers of requests and responses that must not be logged.
pub fn secret_headers() -> [HeaderName; 3] {
    [
        header::AUTHORIZATION,
        HeaderName::from_static("x-auth-token"),
        HeaderName::from_static("x-subject-token"),
    ]
}

/// The span of a request. It leaves out the query, which may contain a presigned URL's signature.
/// `Debug` quotes and escapes the path, so that it cannot forge a log line.
pub fn span<B>(request: &Request<B>) -> Span {
    tracing::debug_span!("request", method = %request.method(), path = ?request.uri().path())
}

/// A service with a health check in front of it.
pub type WithHealthCheck<B> =
    BoxCloneService<Request<Incoming>, Response<Either<Full<Bytes>, B>>, BoxError>;

/// Answers `GET /healthz` with `ok`, and passes other requests to the service.
pub fn with_health_check<S, B>(service: S) -> WithHealthCheck<B>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: 'static,
{
    BoxCloneService::new(tower::service_fn(move |request: Request<Incoming>| {
        let service = service.clone();
        async move {
            if is_health_check(&request) {
                return Ok(Response::new(Either::Left(Full::from("ok\n"))));
            }
            Ok(service.oneshot(request).await.map_err(Into::into)?.map(Either::Right))
        }
    }))
}

/// A signed request is for a bucket with that name.
fn is_health_check<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.uri().path() == "/healthz"
        && request.uri().query().is_none()
        && !request.headers().contains_key(header::AUTHORIZATION)
}

/// Counts the requests of a connection. Clones share the counts.
#[derive(Clone, Default)]
struct Requests(Arc<Counts>);

#[derive(Default)]
struct Counts {
    running: AtomicUsize,
    /// How many have begun or ended.
    changes: AtomicU64,
}

/// A running request. Dropping it ends the request.
struct Running(Requests);

impl Requests {
    fn begin(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        self.0.changes.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    /// Waits until no request has run for this long, or a little longer. Requests only count, so
    /// that none sets a timer.
    async fn idle_for(&self, time: Duration) {
        let (mut seen, mut idle) = (0, 0);
        while idle < LOOKS {
            sleep(time / LOOKS).await;
            let changes = self.0.changes.load(Ordering::Relaxed);
            let is_idle = changes == seen && self.0.running.load(Ordering::Relaxed) == 0;
            idle = if is_idle { idle + 1 } else { 0 };
            seen = changes;
        }
    }
}

impl Running {
    /// Counts the request as running until the body of the response is sent.
    fn until_sent<B: Body>(
        self,
        response: Response<B>,
    ) -> Response<impl Body<Data = B::Data, Error = B::Error>> {
        // The closure is dropped with the body.
        response.map(|body| {
            body.map_err(move |error| {
                let _ = &self;
                error
            })
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let counts = &self.0.0;
        counts.changes.fetch_add(1, Ordering::Relaxed);
        counts.running.fetch_sub(1, Ordering::Relaxed);
    }
}
