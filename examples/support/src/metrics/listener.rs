//! The listener: few connections, each for one request and a short time.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::page::Page;

/// How many connections are served at once. Further ones wait.
const MAX_CONNECTIONS: usize = 32;

/// How long a client may take to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may last. A client that does not read its response costs no more.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// A socket that listens.
pub(super) struct Listener(std::net::TcpListener);

impl Listener {
    /// Listens on an address.
    ///
    /// # Errors
    ///
    /// The message names the address.
    pub(super) fn bind(address: SocketAddr) -> Result<Self, String> {
        let failed = |error| format!("cannot listen on {address} for metrics: {error}");
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self(listener))
    }

    /// Serves until the process ends.
    pub(super) async fn serve(self, page: Page) {
        let listener = match TcpListener::from_std(self.0) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "metrics are not served"),
        };
        if let Ok(address) = listener.local_addr() {
            tracing::info!("metrics are at http://{address}/metrics");
        }
        let (page, permits) = (Arc::new(page), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
        loop {
            // Never closed.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let socket = match listener.accept().await {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // Probably out of file descriptors: wait until others are closed.
                    tracing::warn!(%error, "cannot accept a connection for metrics");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let page = Arc::clone(&page);
            tokio::spawn(async move {
                if timeout(CONNECTION_TIMEOUT, connection(socket, page)).await.is_err() {
                    tracing::debug!("a connection for metrics lasted too long");
                }
                drop(permit);
            });
        }
    }
}

async fn connection(socket: TcpStream, page: Arc<Page>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let page = Arc::clone(&page);
        async move {
            let response = page.respond(request.method(), request.uri().path()).await;
            Ok::<_, Infallible>(response)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(false);
    if let Err(error) = http.serve_connection(TokioIo::new(socket), service).await {
        tracing::debug!(%error, "a connection for metrics ended");
    }
}
