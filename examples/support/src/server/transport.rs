//! TCP connections, with TLS if the server has a certificate.

#[cfg(feature = "tls")]
use std::{future::ready, path::Path, sync::Arc, time::Duration};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

#[cfg(feature = "tls")]
use rustls::ProtocolVersion;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;
use tower_credentials::ClientTls;
#[cfg(feature = "tls")]
use tower_credentials::{
    clock::{Clock as _, SystemClock},
    secret_files::SecretFiles,
};

use crate::health::Health;
#[cfg(feature = "tls")]
use crate::tls::Certificate;

/// How long a client may take for a TLS handshake.
#[cfg(feature = "tls")]
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a server speaks to its clients: plain HTTP, or HTTPS.
#[derive(Clone)]
pub struct Transport {
    #[cfg(feature = "tls")]
    certificate: Option<Arc<Certificate>>,
}

impl Transport {
    /// Connections are not encrypted.
    pub fn plain() -> Self {
        Self {
            #[cfg(feature = "tls")]
            certificate: None,
        }
    }

    /// Connections are encrypted, with a certificate that is reloaded.
    #[cfg(feature = "tls")]
    pub(super) fn tls(cert: &Path, key: &Path, files: SecretFiles) -> Result<Self, String> {
        let certificate = Arc::new(Certificate::load(cert, key, files)?);
        certificate.follow().map_err(|error| format!("cannot wait for SIGHUP: {error}"))?;
        Ok(Self { certificate: Some(certificate) })
    }

    /// Adds the check of the certificate, if there is one.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_self, reason = "as with the feature"))]
    pub(super) fn check_in(&self, health: &Health) {
        #[cfg(feature = "tls")]
        if let Some(certificate) = self.certificate.clone() {
            health.add("certificate", move || ready(certificate.health(SystemClock.now())));
        }
        #[cfg(not(feature = "tls"))]
        let _ = health;
    }

    /// The scheme of the server's URL.
    pub fn scheme(&self) -> &'static str {
        if self.is_encrypted() { "https" } else { "http" }
    }

    #[cfg(feature = "tls")]
    fn is_encrypted(&self) -> bool {
        self.certificate.is_some()
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn is_encrypted(&self) -> bool {
        false
    }

    /// Returns the connection after the handshake, and how it is encrypted.
    #[cfg(feature = "tls")]
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<(Socket, ClientTls)> {
        let Some(certificate) = &self.certificate else {
            return Ok((Socket::Plain(socket), ClientTls::None));
        };
        let handshake = certificate.acceptor().accept(socket);
        let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let version = match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Some(1.2),
            Some(ProtocolVersion::TLSv1_3) => Some(1.3),
            _ => None,
        };
        Ok((Socket::Tls(Box::new(stream)), ClientTls::Version(version)))
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<(Socket, ClientTls)> {
        Ok((Socket::Plain(socket), ClientTls::None))
    }
}

/// A connection of a client.
pub(super) enum Socket {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

/// Sends the alert `close_notify`, without which a client assumes that the connection was cut.
#[cfg(feature = "tls")]
impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Tls(stream) = self {
            let (socket, session) = stream.get_mut();
            session.send_close_notify();
            // Does not wait for a client that takes no more data.
            let _ = session.write_tls(&mut WithoutWaiting(socket));
        }
    }
}

/// Writes as much as the system takes at once.
#[cfg(feature = "tls")]
struct WithoutWaiting<'a>(&'a TcpStream);

#[cfg(feature = "tls")]
impl io::Write for WithoutWaiting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Calls a method of the stream in a [`Socket`].
macro_rules! forward {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket {
            Socket::Plain($stream) => $call,
            #[cfg(feature = "tls")]
            Socket::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        forward!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }
}
