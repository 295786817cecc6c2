//! Shared code of the benches: a loopback server, clients, and ratios.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

pub mod clients;
pub mod engine;
pub mod load;
pub mod recorder;
pub mod rows;
pub mod table;

use std::{
    convert::Infallible,
    error::Error,
    hint::black_box,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self as client, SendRequest},
    server::conn::http1 as server,
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower::Service;
use tower_credentials::{
    auth::StaticTokens,
    domain::{Caller, ProjectId, Scope, UserId},
};

pub const TOKEN: &str = "open-sesame";
pub const USER: &str = "bb5476fd12884539b41d5a88f838d773";
pub const PROJECT: &str = "731fc6f265cd486d900f16e84c5cb594";
pub const SUBJECT: &str = "IBMid-61KR43CAFF";

/// The body of a create with the values above.
pub const BODY: &str = r#"{"credential": {"project_id": "731fc6f265cd486d900f16e84c5cb594", "type": "ec2", "subject_ibm_id": "IBMid-61KR43CAFF", "user_id": "bb5476fd12884539b41d5a88f838d773"}}"#;

/// A token of a user who may create own keys.
pub fn tokens() -> StaticTokens {
    let user = UserId::new(USER).unwrap();
    let project = ProjectId::new(PROJECT).unwrap();
    let caller =
        Caller::new(user, Scope::Project(project)).with_roles(["key_management_user", "member"]);
    StaticTokens::new().with_token(TOKEN, "alice", caller)
}

/// Serves on a free loopback port. Aborting the task stops new connections.
pub async fn serve<S, B>(service: S) -> (SocketAddr, JoinHandle<()>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let service = TowerToHyperService::new(service.clone());
            let connection = server::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection);
        }
    });
    (address, accepting)
}

/// A keep-alive connection.
pub async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (sender, connection) = client::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub async fn connections(address: SocketAddr, count: usize) -> Vec<SendRequest<Full<Bytes>>> {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(connect(address).await);
    }
    connections
}

/// Sends `each` creates on each connection. All connections run at once.
pub async fn create_on_all(
    connections: Vec<SendRequest<Full<Bytes>>>,
    each: usize,
) -> Vec<SendRequest<Full<Bytes>>> {
    let running: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            tokio::spawn(async move {
                for _ in 0..each {
                    create(&mut connection).await;
                }
                connection
            })
        })
        .collect();
    let mut connections = Vec::new();
    for running in running {
        connections.push(running.await.unwrap());
    }
    connections
}

/// Sends a create; returns the length of the response.
pub async fn create(connection: &mut SendRequest<Full<Bytes>>) -> usize {
    let request = Request::post("/credentials/")
        .header("host", "localhost")
        .header("x-auth-token", TOKEN)
        .header("content-type", "application/json")
        .body(Full::from(BODY))
        .unwrap();
    connection.ready().await.unwrap();
    let response = connection.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    response.into_body().collect().await.unwrap().to_bytes().len()
}

/// The words of the command line, without the flags that `cargo bench` adds.
pub fn words() -> Vec<String> {
    std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect()
}

/// The number behind `NAME=` among the words.
pub fn number(words: &[String], name: &str) -> Option<u64> {
    let text = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    text.map(|text| text.parse().unwrap())
}

/// Whether a part of a bench is named among the words, or none is.
pub fn wanted(words: &[String], part: &str) -> bool {
    let mut parts = words.iter().filter(|word| !word.contains('=')).peekable();
    parts.peek().is_none() || parts.any(|word| word == part)
}

pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The number per second.
#[allow(clippy::cast_precision_loss, reason = "counts of a bench")]
pub fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// The requests of a batch: few enough for the processor's caches, because a server has just read
/// the request that it verifies.
pub const BATCH: usize = 32;
pub const BATCH_F64: f64 = 32.0;

/// The duration of a batch of the same request.
pub async fn time<S, B>(service: &mut S, request: &Request<Empty<Bytes>>) -> Duration
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    let requests: Vec<_> = (0..BATCH).map(|_| request.clone()).collect();
    let started = Instant::now();
    for request in requests {
        let response = service.call(request).await.unwrap();
        assert!(black_box(response).status().is_success());
    }
    started.elapsed()
}
