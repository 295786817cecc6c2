//! Bodies that arrive or are read too slowly.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use keystone_front::{request_body::TimedBody, response_body::ReadLimited, responses::BoxError};
use tokio::time::{Duration, Instant, Sleep, sleep, timeout};

use crate::{http::Raw, keystone::Keystone, process::Front};

const KIB: usize = 1_024;

/// A body of equal pieces at equal intervals.
struct Trickle {
    piece: Bytes,
    every: Duration,
    pieces: usize,
    has_known_size: bool,
    next: Option<Pin<Box<Sleep>>>,
}

impl Trickle {
    fn new(piece: usize, every: Duration, pieces: usize) -> Self {
        let piece = vec![b'x'; piece].into();
        Self { piece, every, pieces, has_known_size: true, next: None }
    }

    fn of_unknown_size(mut self) -> Self {
        self.has_known_size = false;
        self
    }
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.pieces == 0 {
            return Poll::Ready(None);
        }
        let every = self.every;
        ready!(self.next.get_or_insert_with(|| Box::pin(sleep(every))).as_mut().poll(cx));
        self.next = None;
        self.pieces -= 1;
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }

    fn size_hint(&self) -> SizeHint {
        let size = (self.piece.len() * self.pieces) as u64;
        if self.has_known_size { SizeHint::with_exact(size) } else { SizeHint::default() }
    }
}

/// Reads a request's body; returns whether it was complete, and the seconds on the paused clock.
async fn read(body: Trickle) -> (bool, u64) {
    let began = Instant::now();
    let body = TimedBody::new(body, Duration::from_hours(1)).with_min_rate();
    let arrives = body.collect().await.is_ok();
    (arrives, began.elapsed().as_secs())
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[tokio::test(start_paused = true)]
async fn small_body_has_one_minute_in_total() {
    let size = 112 * KIB;
    assert_eq!(read(Trickle::new(size / 59, seconds(1.0), 59)).await, (true, 59));
    assert_eq!(read(Trickle::new(1, seconds(1.0), 61)).await, (false, 60));
    assert_eq!(read(Trickle::new(size / 112, seconds(0.6), 112)).await, (false, 60));
    assert_eq!(read(Trickle::new(1, seconds(50.0), 2)).await, (false, 60));
    assert_eq!(read(Trickle::new(1, seconds(1.0), 61).of_unknown_size()).await, (false, 60));
}

#[tokio::test(start_paused = true)]
async fn large_body_may_take_any_time_at_one_kib_per_second() {
    assert_eq!(read(Trickle::new(KIB, seconds(1.0), 1_000)).await, (true, 1_000));
    assert_eq!(read(Trickle::new(30 * KIB, seconds(29.0), 10)).await, (true, 290));
    assert_eq!(read(Trickle::new(64, seconds(0.05), 3_200)).await, (true, 160));
}

#[tokio::test(start_paused = true)]
async fn large_body_ends_after_thirty_seconds_below_one_kib_per_second() {
    assert_eq!(read(Trickle::new(1, seconds(1.0), 113 * KIB)).await, (false, 30));
    assert_eq!(read(Trickle::new(100 * KIB, seconds(31.0), 2)).await, (false, 30));
    let (arrives, after) = read(Trickle::new(KIB - 64, seconds(1.0), 1_000)).await;
    assert!(!arrives && after < 35, "{after}");
}

#[tokio::test(start_paused = true)]
async fn fast_start_does_not_compensate_for_a_slow_rest() {
    let fast = Trickle::new(200 * KIB, seconds(1.0), 1);
    let (arrives, after) = read_both(fast, Trickle::new(1, seconds(1.0), 100)).await;
    // 30 s after the fast part.
    assert!(!arrives && (31..=32).contains(&after), "{after}");
}

/// Reads two bodies as one.
async fn read_both(one: Trickle, other: Trickle) -> (bool, u64) {
    let began = Instant::now();
    let both = Both(one, other);
    let both = TimedBody::new(both, Duration::from_hours(1)).with_min_rate();
    (both.collect().await.is_ok(), began.elapsed().as_secs())
}

struct Both(Trickle, Trickle);

impl Body for Both {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match ready!(Pin::new(&mut self.0).poll_frame(cx)) {
            None => Pin::new(&mut self.1).poll_frame(cx),
            frame => Poll::Ready(frame),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (self.0.size_hint().exact(), self.1.size_hint().exact()) {
            (Some(one), Some(other)) => SizeHint::with_exact(one + other),
            _ => SizeHint::default(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn body_of_unknown_size_has_the_minimum_rate_after_112_kib() {
    let large = || Trickle::new(2 * KIB, seconds(1.0), 300).of_unknown_size();
    assert_eq!(read(large()).await, (true, 300));
    let rest = || Trickle::new(1, seconds(1.0), 100).of_unknown_size();
    let start = |pieces| Trickle::new(2 * KIB, seconds(1.0), pieces).of_unknown_size();
    // 112 KiB, and one byte more.
    let (arrives, after) = read_both(start(56), rest()).await;
    assert!(!arrives && (87..=89).contains(&after), "{after}");
    assert_eq!(read_both(start(55), rest()).await, (false, 60));
}

#[tokio::test(start_paused = true)]
async fn slow_reader_does_not_count_against_the_client() {
    let mut body = TimedBody::new(Trickle::new(1, seconds(1.0), 5), seconds(10.0)).with_min_rate();
    for _ in 0..5 {
        sleep(Duration::from_secs(100)).await;
        body.frame().await.unwrap().unwrap();
    }
    assert!(body.frame().await.is_none());
}

/// A body that records when it is dropped.
struct Response(Trickle, Arc<AtomicBool>);

impl Response {
    fn limited(body: Trickle) -> (ReadLimited<Self>, Arc<AtomicBool>) {
        let dropped = Arc::new(AtomicBool::new(false));
        (ReadLimited::new(Self(body, Arc::clone(&dropped))), dropped)
    }
}

impl Body for Response {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
    }

    fn is_end_stream(&self) -> bool {
        self.0.pieces == 0
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn response_that_the_client_does_not_read_is_dropped() {
    let (mut response, dropped) = Response::limited(Trickle::new(10 * KIB, seconds(1.0), 100));
    response.frame().await.unwrap().unwrap();
    sleep(Duration::from_secs(39)).await;
    assert!(!dropped.load(Ordering::SeqCst));
    sleep(Duration::from_secs(3)).await;
    assert!(dropped.load(Ordering::SeqCst), "the body was not dropped");
    response.frame().await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn response_that_the_client_reads_byte_by_byte_is_dropped() {
    let (mut response, dropped) = Response::limited(Trickle::new(1, seconds(0.1), 1_000));
    let mut read = 0;
    while let Some(Ok(_)) = response.frame().await {
        read += 1;
        sleep(Duration::from_secs(10)).await;
    }
    assert!(dropped.load(Ordering::SeqCst));
    assert!(read <= 4, "{read} bytes in {read}0 seconds");
}

#[tokio::test(start_paused = true)]
async fn response_that_the_client_reads_at_one_kib_per_second_is_complete() {
    let (mut response, _) = Response::limited(Trickle::new(10 * KIB, seconds(1.0), 100));
    let mut read = 0;
    while let Some(frame) = response.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(read, 1_000 * KIB);
}

#[tokio::test(start_paused = true)]
async fn slow_keystone_does_not_count_against_the_client() {
    let (mut response, _) = Response::limited(Trickle::new(1, seconds(100.0), 10));
    let mut read = 0;
    while let Some(frame) = response.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(read, 10);
}

#[tokio::test]
async fn byte_per_second_gets_408_and_frees_keystone() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send("POST /upload HTTP/1.1\r\nHost: front\r\nContent-Length: 200000\r\n\r\n").await;
    let exchange = async {
        loop {
            raw.send("x").await;
            if let Ok(received) = timeout(Duration::from_secs(1), raw.receive_until("}}\n")).await {
                return received;
            }
        }
    };
    let received = timeout(Duration::from_mins(2), exchange).await;
    let received = received.expect("no timeout occurred");
    assert!(received.starts_with("HTTP/1.1 408 Request Timeout"), "{received}");
    keystone.request_canceled().await;
}
