//! A server with a certificate, and connections to it.

use std::{fs, future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use rustls::{ClientConfig, SupportedProtocolVersion};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_cert::{Certificate, der::Decode};

use super::authority::{Authority, Pair, VERSIONS};
use crate::{
    http::Client,
    process::{Program, Running, Server},
    secret_file,
    waiting::Waiting,
};

/// Longer than any step of a test takes.
const DEADLINE: Duration = Duration::from_mins(1);

/// The files of a server that does not run yet.
pub struct Files {
    pub authority: Authority,
    pub server: Server,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Files {
    /// A server with a valid certificate, whose serial number is 1.
    pub fn new(program: Program) -> Self {
        let (authority, server) = (Authority::new(), Server::new(program));
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| server.home().join(name));
        let arguments = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        let server = server.arguments(&arguments);
        fs::write(server.home().join("authority.pem"), authority.pem()).unwrap();
        let files = Self { authority, server, cert, key };
        files.write(&files.authority.issue(1));
        files
    }

    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.server = self.server.arguments(arguments);
        self
    }

    /// Replaces both files. First the key, as the certificate does not match it.
    pub fn write(&self, pair: &Pair) {
        secret_file::write(&self.key, &pair.key);
        fs::write(&self.cert, &pair.cert).unwrap();
    }

    /// The file with the certificate of the authority.
    pub fn authority_file(&self) -> PathBuf {
        self.server.home().join("authority.pem")
    }

    pub async fn start(self) -> Lab {
        let running = self.server.start().await;
        Lab { files: self, running }
    }
}

/// A running server with a certificate.
pub struct Lab {
    pub files: Files,
    pub running: Running,
}

impl Lab {
    pub async fn start(program: Program) -> Self {
        Files::new(program).start().await
    }

    /// A client that trusts the authority.
    pub fn client(&self) -> Client {
        self.client_with(&VERSIONS)
    }

    pub fn client_with(&self, versions: &[&'static SupportedProtocolVersion]) -> Client {
        Client::tls(&self.running.url, self.files.authority.client_config(versions))
    }

    /// Connects with this configuration.
    pub async fn connect_with(&self, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(self.running.host()).await?;
        let name = "localhost".try_into().unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    }

    /// Connects without ALPN.
    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let config = self.files.authority.client_config(&VERSIONS);
        in_time("a handshake", self.connect_with(config)).await.unwrap()
    }

    /// The serial number of the certificate that a new connection sees.
    pub async fn serial(&self) -> u8 {
        serial(&self.connect().await)
    }

    /// Waits until new connections see this serial number.
    pub async fn waits_for_serial(&self, serial: u8) {
        for () in Waiting::every(Duration::from_millis(50)) {
            if self.serial().await == serial {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the certificate {serial} is not used:\n{}", self.running.stderr());
    }
}

/// The serial number of the server's certificate.
pub fn serial(stream: &TlsStream<TcpStream>) -> u8 {
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    let certificate = Certificate::from_der(&certificates[0]).unwrap();
    *certificate.tbs_certificate.serial_number.as_bytes().last().unwrap()
}

/// Fails if something takes too long.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

/// Sends a request on an open connection, and returns the response, which must end with this text.
pub async fn exchange(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    request: &str,
    end: &str,
) -> String {
    in_time("a request", async {
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let (mut received, mut buffer) = (String::new(), [0; 4096]);
        while !received.ends_with(end) {
            let length = stream.read(&mut buffer).await.unwrap();
            assert_ne!(length, 0, "no {end:?} in {received:?}");
            received += &String::from_utf8_lossy(&buffer[..length]);
        }
        received
    })
    .await
}

/// A request whose response ends with `ok` and a line break.
pub const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
