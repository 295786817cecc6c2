//! Serving: accept, hang up on clients that ask nothing, stop cleanly.
//!
//! Shared by the examples that are servers.

use std::{error::Error, future::Future, net::SocketAddr, sync::Arc, time::Duration};

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
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tower::{Service, ServiceExt};
use tracing::Span;

use super::idle::Requests;

/// How many connections are served at once; more wait to be accepted.
const CONNECTIONS: usize = 4_096;

/// How long a client may take to send a request's head, to answer a ping, and to
/// keep a connection without a request.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long running requests may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves until SIGTERM or SIGINT; greets with its address once it listens.
///
/// Each request has its client's address among its extensions.
pub async fn serve<S, B>(
    listen: SocketAddr,
    service: S,
    greet: impl FnOnce(SocketAddr),
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
    greet(listener.local_addr()?);

    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
    // A client that has vanished in the middle of a request answers no ping.
    http.http2().keep_alive_interval(PATIENCE).keep_alive_timeout(PATIENCE);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await?;
            Ok::<_, BoxError>((listener.accept().await?, place))
        };
        let ((socket, peer), place) = tokio::select! {
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: others will be freed.
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
        let (counted, service) = (requests.clone(), service.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert::<SocketAddr>(peer);
            let (running, answer) = (counted.begin(), service.clone().oneshot(request));
            async move { answer.await.map(|answer| running.until_sent(answer)) }
        });
        let connection = http.serve_connection(TokioIo::new(socket), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                },
                // `http` waits for ever for a first byte, and for HTTP/2's requests.
                () = requests.none_for(PATIENCE) => tracing::debug!("connection was idle"),
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running after {GRACE:?}");
    }
    Ok(())
}

/// Headers that no log may show, of requests and of answers.
pub fn secret_headers() -> [HeaderName; 3] {
    [
        header::AUTHORIZATION,
        HeaderName::from_static("x-auth-token"),
        HeaderName::from_static("x-subject-token"),
    ]
}

/// A span without the query, which may hold a presigned URL's signature. `Debug` quotes
/// the path and escapes what could forge a log line.
pub fn span<B>(request: &Request<B>) -> Span {
    tracing::debug_span!("request", method = %request.method(), path = ?request.uri().path())
}
