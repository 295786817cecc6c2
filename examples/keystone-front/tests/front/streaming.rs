//! Bodies are streamed in both directions.

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use test_support::process::Running;
use tokio::time::{Duration, timeout};

use crate::{http::Raw, keystone::Keystone, process::Front};

const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn request_body_is_streamed() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send("POST /upload HTTP/1.1\r\nHost: front\r\nContent-Length: 10\r\n\r\nfirst").await;
    timeout(TIMEOUT, keystone.arrived()).await.expect("the first piece was not forwarded");
    raw.send("last!").await;
    assert!(raw.receive_until("\r\n\r\n10").await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn response_body_is_streamed() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send("GET /pieces HTTP/1.1\r\nHost: front\r\n\r\n").await;
    timeout(TIMEOUT, raw.receive_until("first;")).await.expect("the first piece was not forwarded");
    keystone.proceed();
    raw.receive_until("last").await;
}

/// The peak memory of a process in MiB.
fn peak(front: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", front.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

#[tokio::test]
async fn large_bodies_are_not_buffered() {
    const PIECE: usize = 64 * 1_024;
    const PIECES: usize = 2_048;
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    front.client().get("/other", "").await.expect(200);
    let before = peak(&front);

    let connector =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
    let client = connector.build_http();
    let (send, pieces) = tokio::sync::mpsc::channel(1);
    let request = Request::post(format!("{}/echo", front.url)).body(Body(pieces)).unwrap();
    let sending = tokio::spawn(async move {
        for number in 0..PIECES {
            let byte = u8::try_from(number % 251).unwrap();
            send.send(Bytes::from(vec![byte; PIECE])).await.unwrap();
        }
    });
    let mut body = client.request(request).await.unwrap().into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        for (at, byte) in data.iter().enumerate().step_by(997) {
            assert_eq!(usize::from(*byte), (length + at) / PIECE % 251);
        }
        length += data.len();
    }
    sending.await.unwrap();
    assert_eq!(length, PIECE * PIECES);
    let grown = peak(&front) - before;
    assert!(grown < 16, "{grown} MiB more for 128 MiB");
}

#[tokio::test]
async fn disconnecting_client_cancels_the_request_to_keystone() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send("GET /hang HTTP/1.1\r\nHost: front\r\n\r\n").await;
    keystone.arrived().await;
    assert!(!keystone.is_request_canceled());
    drop(raw);
    keystone.request_canceled().await;
}

#[tokio::test]
async fn truncated_response_does_not_look_complete() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send("GET /half HTTP/1.1\r\nHost: front\r\n\r\n").await;
    raw.receive_until("half of it").await;
    keystone.proceed();
    let rest = raw.receive_all().await;
    assert!(!rest.contains("0\r\n"), "{rest:?}");
    front.logged("Keystone's response ended early", 1).await;
}

/// A body from a channel.
struct Body(tokio::sync::mpsc::Receiver<Bytes>);

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece))))
    }
}
