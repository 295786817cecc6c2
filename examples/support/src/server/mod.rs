//! Serving connections: health check, idle timeout, graceful shutdown.

mod options;
mod requests;
mod transport;

use std::{error::Error, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderName, Method, Request, Response, header};
use http_body::Body;
use http_body_util::{Either, Full};
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
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tower::{Service, ServiceExt, util::BoxCloneService};
use tower_credentials::ClientAddress;
use tracing::Span;

use self::requests::Requests;
pub use self::{options::ServerOptions, transport::Transport};

/// How many connections are served at once. Further ones wait.
const MAX_CONNECTIONS: usize = 4_096;

/// How long a client may take to send the head of a request or to answer a ping, and how long
/// a connection may be idle. An idle connection is closed at most one look later.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long requests may still run after the signal to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves until SIGTERM or SIGINT. Calls `on_listening` with the URL of the server.
///
/// The extensions of a request contain the client's address, and whether its connection is
/// encrypted. Keys with a boundary can depend on both, and links start with the scheme.
pub async fn serve<S, B>(
    listen: SocketAddr,
    transport: Transport,
    service: S,
    on_listening: impl FnOnce(&str),
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
    on_listening(&format!("{}://{}", transport.scheme(), listener.local_addr()?));

    let mut http = auto::Builder::new(TokioExecutor::new());
    // The idle timeout includes the head of a request. hyper's own would set a timer for each
    // request.
    http.http1().header_read_timeout(None);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
    // Detects clients that vanished during a request.
    http.http2().keep_alive_interval(CLIENT_TIMEOUT).keep_alive_timeout(CLIENT_TIMEOUT);
    let http = Arc::new(http);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let (stop, stopping) = watch::channel(false);
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
        let (http, transport, service) = (Arc::clone(&http), transport.clone(), service.clone());
        // The shutdown also waits for a connection that is not yet served.
        let (watcher, mut stopping) = (graceful.watcher(), stopping.clone());
        tokio::spawn(async move {
            let (socket, encryption) = tokio::select! {
                accepted = transport.accept(socket) => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => return tracing::debug!(%error, "TLS handshake failed"),
                },
                // Without a request, a connection is closed.
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            let requests = Requests::default();
            let running = requests.clone();
            let service = service_fn(move |mut request: Request<Incoming>| {
                let extensions = request.extensions_mut();
                extensions.insert::<SocketAddr>(peer);
                // An IPv4 client of an IPv6 socket.
                extensions.insert(ClientAddress(peer.ip().to_canonical()));
                extensions.insert(encryption);
                let (guard, response) = (running.begin(), service.clone().oneshot(request));
                async move { response.await.map(|response| guard.until_sent(response)) }
            });
            let connection = http.serve_connection(TokioIo::new(socket), service).into_owned();
            tokio::select! {
                // A request that has arrived is served first.
                biased;
                ended = watcher.watch(connection) => if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                },
                // hyper has no timeout for the first byte, nor for requests on HTTP/2.
                () = requests.idle_for(CLIENT_TIMEOUT) => tracing::debug!("connection was idle"),
            }
            drop(permit);
        });
    }
    drop(listener);
    let _ = stop.send(true);
    if timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running after {SHUTDOWN_TIMEOUT:?}");
    }
    Ok(())
}

/// Headers of requests and responses that must not be logged.
pub fn secret_headers() -> [HeaderName; 4] {
    [
        header::AUTHORIZATION,
        HeaderName::from_static("x-amz-security-token"),
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
