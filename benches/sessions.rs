//! What sessions cost: the verification of a GET with a session token beside one without, and
//! `AssumeRole` beside a bare hyper handler that verifies the same signature and returns the same
//! bytes. With the word `million`: the memory after a million sessions. With `profile N`: only N
//! requests for `AssumeRole`.
//!
//! `cargo bench --all-features --bench sessions [-- million | profile N]`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use sha2::{Digest, Sha256};
use test_support::{aws_signer::Signer, bench, records};
use tower::{Layer, Service, service_fn};
use tower_credentials::{
    CredentialLayer,
    auth::StaticTokens,
    aws::AwsWires,
    backend::{CredentialBackend, cached::Cached, memory::MemoryBackend},
    domain::{AccessKey, Quota, SecretKey},
    s3::{S3AuthLayer, VerifiedBody, VerifiedKey},
    session::{Holder, Session, SessionCredentials},
};

const ACCESS: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";
const ROUNDS: usize = 4_000;
const CONNECTIONS: usize = 32;
const EACH: usize = 150;
const PAIRS: usize = 21;
const PARAMS: &str = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=nightly";
const READ: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::photos/2026/*"}]}"#;

type Keys = Cached<MemoryBackend>;

async fn keys() -> Keys {
    let keys = Cached::builder(MemoryBackend::default()).ttl(Duration::from_hours(1)).build();
    let record = records::pair_in(bench::PROJECT, bench::USER, ACCESS, SECRET);
    keys.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
    keys
}

#[tokio::main]
async fn main() {
    if bench::words().iter().any(|word| word == "million") {
        million().await;
        return;
    }
    let mut words = bench::words().into_iter().skip_while(|word| word != "profile");
    if let Some(count) = words.nth(1) {
        // For callgrind: the difference of two numbers of requests.
        let layer = CredentialLayer::builder(StaticTokens::new(), keys().await);
        let app = service_fn(|_: Request<Full<Bytes>>| {
            ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        });
        let mut service = layer.aws(AwsWires::new()).build().unwrap().layer(app);
        let request = assume();
        for _ in 0..count.parse().unwrap() {
            assert!(service.call(request.clone()).await.unwrap().status().is_success());
        }
        return;
    }
    verify().await;
    assume_role().await;
}

fn session(policy: Option<&str>) -> SessionCredentials {
    let parent = AccessKey::from_stored(ACCESS);
    let (holder, life) = (Holder::Role("nightly".into()), Duration::from_hours(1));
    let session = Session::new(&parent, holder, SystemTime::now(), life).unwrap();
    let session = match policy {
        Some(policy) => session.with_policy(policy).unwrap(),
        None => session,
    };
    session.mint(&SecretKey::from_stored(SECRET)).unwrap()
}

/// A signed GET, with a session token if it is one's.
fn get(access: &str, secret: &str, token: Option<&str>) -> Request<Empty<Bytes>> {
    let mut request = Request::get("/photos/2026/11/25/a-picture-of-a-cat.jpg")
        .header("host", "s3.example.org:8338")
        .header("user-agent", "aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/linux#6.1")
        .header("accept-encoding", "identity");
    if let Some(token) = token {
        request = request.header("x-amz-security-token", token);
    }
    let signer = Signer::new(access, secret, SystemTime::now());
    signer.sign(request.body(Empty::new()).unwrap()).0
}

fn get_of(session: &SessionCredentials) -> Request<Empty<Bytes>> {
    let (access, secret) = (session.access_key.as_str(), session.secret_key.expose());
    get(access, secret, Some(session.session_token.expose()))
}

/// A handler that accepts every verified request.
fn store(
    request: Request<VerifiedBody<Empty<Bytes>>>,
) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    assert!(request.extensions().get::<VerifiedKey>().is_some());
    drop(request);
    ready(Ok(Response::new(Full::default())))
}

/// Compares the time that the layer adds.
async fn verify() {
    let mut layer = S3AuthLayer::new(keys().await).layer(service_fn(store));
    let mut bare = service_fn(|request: Request<Empty<Bytes>>| {
        drop(request);
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let requests =
        [get(ACCESS, SECRET, None), get_of(&session(None)), get_of(&session(Some(READ)))];
    let token = session(None).session_token.expose().len();
    let mut took: [Vec<f64>; 3] = Default::default();
    for round in 0..=ROUNDS {
        for (took, request) in took.iter_mut().zip(&requests) {
            let with = bench::time(&mut layer, request).await;
            let without = bench::time(&mut bare, request).await;
            if round > 0 {
                took.push(with.saturating_sub(without).as_secs_f64() * 1e9 / bench::BATCH_F64);
            }
        }
    }
    let [plain, session, bounded] = took.map(bench::median);
    println!("a GET without a token                    {plain:>8.0} ns");
    println!("the same with a token of {token} characters   {session:>8.0} ns");
    println!("the same with a token with a policy      {bounded:>8.0} ns");
    println!("with / without: {:.2}   bar: at most 1.35", session / plain);
}

/// A signed `AssumeRole`.
fn assume() -> Request<Full<Bytes>> {
    let request = Request::post("/")
        .header("host", "localhost")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let signer = Signer::new(ACCESS, SECRET, SystemTime::now()).service("sts").body(PARAMS);
    signer.sign(request.body(Full::from(PARAMS)).unwrap()).0
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Verifies the signature with the least work, and responds.
async fn bare(
    key: [u8; 32],
    answer: Bytes,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| head.headers[name].to_str().unwrap();
    let (date, authorization) = (header("x-amz-date"), header("authorization"));
    let canonical = format!(
        "POST\n/\n\ncontent-type:{}\nhost:{}\nx-amz-date:{date}\n\ncontent-type;host;x-amz-date\n{}",
        header("content-type"),
        header("host"),
        HEXLOWER.encode(&Sha256::digest(&body)),
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{}/us-east-1/sts/aws4_request\n{}",
        &date[..8],
        HEXLOWER.encode(&Sha256::digest(canonical)),
    );
    let signature = HEXLOWER.encode(&hmac(&key, text.as_bytes()));
    assert!(authorization.ends_with(&signature), "{authorization}");
    let response = Response::builder()
        .header("content-type", "text/xml")
        .header("x-amzn-requestid", "11111111-2222-3333-4444-555555555555")
        .header("cache-control", "no-store");
    Ok(response.body(Full::from(answer)).unwrap())
}

/// Compares the requests that a server answers.
async fn assume_role() {
    let day = assume().headers()["x-amz-date"].to_str().unwrap()[..8].to_owned();
    let mut key = hmac(format!("AWS4{SECRET}").as_bytes(), day.as_bytes());
    for part in ["us-east-1", "sts", "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    let backend = keys().await;
    let layer = CredentialLayer::builder(StaticTokens::new(), backend).aws(AwsWires::new());
    let layer = layer.build().unwrap();
    let app = service_fn(|_: Request<Incoming>| {
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let (address, accepting) = bench::serve(layer.layer(app)).await;
    let answer = send(&mut bench::connect(address).await).await;
    accepting.abort();

    let (mut rates, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..=PAIRS {
        let copy = answer.clone();
        let of_bare = rate(service_fn(move |request| bare(key, copy.clone(), request))).await;
        let of_layer = rate(layer.layer(app)).await;
        if round > 0 {
            rates[0].push(of_bare);
            rates[1].push(of_layer);
            ratios.push(of_bare / of_layer);
        }
    }
    let [of_bare, of_layer] = rates.map(bench::median);
    println!("bare hyper handler                       {of_bare:>8.0} AssumeRole/s");
    println!("layer, key from Cached                   {of_layer:>8.0} AssumeRole/s");
    println!("bare / layer, median of pairs: {:.2}   bar: at most 1.50", bench::median(ratios));
}

async fn send(connection: &mut SendRequest<Full<Bytes>>) -> Bytes {
    connection.ready().await.unwrap();
    let response = connection.send_request(assume()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap().to_bytes()
}

async fn rate<S, B>(service: S) -> f64
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (address, accepting) = bench::serve(service).await;
    let connections = bench::connections(address, CONNECTIONS).await;
    // Signing once is enough: the signature stays valid.
    let request = assume();
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for mut connection in connections {
        let request = request.clone();
        tasks.spawn(async move {
            for _ in 0..EACH {
                connection.ready().await.unwrap();
                let response = connection.send_request(request.clone()).await.unwrap();
                assert_eq!(response.status(), 200);
                response.into_body().collect().await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let rate = bench::rate(CONNECTIONS * EACH, started.elapsed());
    accepting.abort();
    rate
}

/// Uses a million sessions once each.
async fn million() {
    let mut layer = S3AuthLayer::new(keys().await).layer(service_fn(store));
    for count in 1..=1_000_000 {
        let policy = (count % 4 == 0).then_some(READ);
        let response = layer.call(get_of(&session(policy))).await.unwrap();
        assert!(response.status().is_success());
        if [1_000, 10_000, 20_000, 100_000, 1_000_000].contains(&count) {
            println!("{count:>9} sessions: {:>6} KiB resident", resident());
        }
    }
}

/// The resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
