//! Connections that are kept for the next request.
//!
//! One is opened when a request needs it, and never ahead: a Keystone of few
//! workers waits for the first request of each connection, and lets others wait.

use std::{
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use tower::Service;

use super::{KeystoneError, KeystoneErrorKind};

/// How many connections are kept while nothing is asked.
const MAX_IDLE: usize = 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that is good for one request at a time.
pub(super) type Connection = SendRequest<Full<Bytes>>;

pub(super) struct Pool {
    connector: HttpsConnector<HttpConnector>,
    target: Uri,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(target: Uri, tls: rustls::ClientConfig, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT.min(timeout)));
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        tcp.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self { connector, target, idle: Mutex::default() }
    }

    /// A connection that was kept and is still open, as far as can be seen.
    pub(super) async fn kept(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle().pop()?;
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// A new connection.
    pub(super) async fn open(&self) -> Result<Connection, KeystoneError> {
        let failed =
            || KeystoneError::new(KeystoneErrorKind::Unreachable, "no connection to Keystone");
        let mut connector = self.connector.clone();
        let ready = poll_fn(|cx| connector.poll_ready(cx)).await;
        ready.map_err(|error| failed().caused_by(error))?;
        let stream = connector.call(self.target.clone()).await;
        let stream = stream.map_err(|error| failed().caused_by(error))?;
        let (connection, driver) =
            http1::handshake(stream).await.map_err(|error| failed().caused_by(error.into()))?;
        // Ends with the connection; errors reach whoever uses it.
        tokio::spawn(driver);
        Ok(connection)
    }

    /// Keeps a connection whose answer has been read to its end.
    pub(super) fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }

    /// Forgets all that is kept: when one was closed, so probably were the others.
    pub(super) fn forget(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
