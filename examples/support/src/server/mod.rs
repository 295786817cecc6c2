//! Serving connections: health checks, idle timeout, request log, graceful shutdown.

mod arrival;
mod connections;
mod entry;
mod options;
mod request_log;
mod requests;
mod service_manager;
mod shutdown;
mod transport;

use std::{error::Error, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{HeaderName, Request, Response, header};
use http_body::Body;
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
    sync::watch,
    time::{sleep, timeout},
};
use tower::Service;

use self::{connections::Connections, entry::Entry, shutdown::Signals};
pub use self::{options::ServerOptions, transport::Transport};
use crate::health::Health;

/// How long a client may take to send the head of a request or to answer a ping, and how long
/// a connection may be idle. An idle connection is closed at most one look later.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long requests may still run after the signal to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves until SIGTERM or SIGINT. Calls `on_listening` with the URL of the server.
///
/// Answers the health checks itself, and logs each request. The extensions of a request contain its
/// id, the client's address, and whether its connection is encrypted. Keys with a boundary can
/// depend on the last two, and links start with the scheme.
///
/// # Errors
///
/// The address cannot be opened, or signals cannot be received.
pub async fn serve<S, B>(
    listen: SocketAddr,
    options: &ServerOptions,
    transport: Transport,
    health: Health,
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
    let signals = Signals::new()?;
    transport.check_in(&health);
    on_listening(&format!("{}://{}", transport.scheme(), listener.local_addr()?));
    service_manager::ready();

    let http = Arc::new(protocols());
    let connections = Connections::new(options.max_connections());
    let graceful = GracefulShutdown::new();
    let entry =
        Entry { proxies: options.trusted_proxies()?.into(), health: health.clone(), service };
    let (stop, stopping) = watch::channel(false);
    let mut drained = pin!(signals.drained(health, options.drain()));
    loop {
        let accepted = async {
            let (socket, peer) = listener.accept().await?;
            // A connection waits for its place here, so that no idle one is closed without need.
            Ok::<_, io::Error>((socket, peer, connections.place().await))
        };
        let (socket, peer, place) = tokio::select! {
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Probably out of file descriptors: close a connection, and wait.
                    tracing::warn!(%error, "cannot accept a connection");
                    connections.close_idle();
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut drained => break,
        };
        let _ = socket.set_nodelay(true);
        let (http, transport, entry) = (Arc::clone(&http), transport.clone(), entry.clone());
        // The shutdown also waits for a connection that is not yet served.
        let (watcher, mut stopping) = (graceful.watcher(), stopping.clone());
        tokio::spawn(async move {
            let requests = &place.requests;
            let (socket, encryption) = tokio::select! {
                accepted = transport.accept(socket) => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => return tracing::debug!(%error, "TLS handshake failed"),
                },
                () = requests.evicted() => return tracing::debug!("gave up a TLS handshake"),
                // Without a request, a connection is closed.
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            let running = requests.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                entry.clone().serve(request, peer, encryption, running.begin())
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
                () = requests.evicted() => tracing::debug!("an idle connection lost its place"),
            }
        });
    }
    drop(listener);
    tracing::info!("stopping: the listener is closed");
    let _ = stop.send(true);
    if timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running after {SHUTDOWN_TIMEOUT:?}");
    }
    Ok(())
}

fn protocols() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    // The idle timeout includes the head of a request. hyper's own would set a timer for each
    // request.
    http.http1().header_read_timeout(None);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
    // Detects clients that vanished during a request.
    http.http2().keep_alive_interval(CLIENT_TIMEOUT).keep_alive_timeout(CLIENT_TIMEOUT);
    http
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
