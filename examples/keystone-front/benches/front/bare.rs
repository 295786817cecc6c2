//! A bare hyper handler in a process of its own. It returns the bytes of a recorded response.

use std::{
    convert::Infallible,
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _, stdin},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use test_support::bench;
use tower::service_fn;

/// The word on the command line that makes this bench the handler.
pub(crate) const WORD: &str = "bare-handler";

/// A running handler. Dropping it kills the process.
pub(crate) struct Bare {
    process: Child,
    address: SocketAddr,
}

impl Bare {
    /// Starts a handler that returns this response to every request.
    pub(crate) fn start(response: &[u8]) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.arg(WORD).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        process.stdin.take().unwrap().write_all(response).unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, address: line.trim().parse().unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves the response on standard input until the process is killed.
pub(crate) async fn serve() {
    let mut recorded = Vec::new();
    stdin().read_to_end(&mut recorded).unwrap();
    let end = recorded.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(recorded[..end].to_vec()).unwrap();
    let body = Bytes::from(recorded.split_off(end + 4));
    let mut lines = head.lines();
    let status: StatusCode = lines.next().unwrap()[9..12].parse().unwrap();
    // hyper adds the length and the date.
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers = headers.filter(|(name, _)| !["content-length", "date"].contains(name));
    let headers: Vec<(HeaderName, HeaderValue)> =
        headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let handler = service_fn(move |request: Request<Incoming>| {
        let (headers, body) = (headers.clone(), body.clone());
        async move {
            request.into_body().collect().await.unwrap();
            let mut response = Response::new(Full::new(body));
            *response.status_mut() = status;
            response.headers_mut().extend(headers);
            Ok::<_, Infallible>(response)
        }
    });
    let (address, accepting) = bench::serve(handler).await;
    println!("{address}");
    accepting.await.unwrap();
}
