//! Bodies that move, but too slowly.

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
use keystone_front::{answers::BoxError, body::Watched, returned::Returned};
use tokio::time::{Duration, Instant, Sleep, sleep, timeout};

use crate::{http::Raw, keystone::Keystone, process::Front};

const KIB: usize = 1_024;

/// A body of equal pieces, each after the same time.
struct Trickle {
    piece: Bytes,
    every: Duration,
    pieces: usize,
    says_its_size: bool,
    next: Option<Pin<Box<Sleep>>>,
}

impl Trickle {
    fn new(piece: usize, every: Duration, pieces: usize) -> Self {
        let piece = vec![b'x'; piece].into();
        Self { piece, every, pieces, says_its_size: true, next: None }
    }

    fn of_unknown_size(mut self) -> Self {
        self.says_its_size = false;
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
        if self.says_its_size { SizeHint::with_exact(size) } else { SizeHint::default() }
    }
}

/// Reads a request's body to its end; whether it arrives, and after how many seconds of the paused
/// clock that is known.
async fn read(body: Trickle) -> (bool, u64) {
    let began = Instant::now();
    let body = Watched::new(body, Duration::from_hours(1)).paced();
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
async fn head_start_is_no_credit_for_a_slow_rest() {
    let fast = Trickle::new(200 * KIB, seconds(1.0), 1);
    let (arrives, after) = read_both(fast, Trickle::new(1, seconds(1.0), 100)).await;
    // 30 s after the second in which the fast part came.
    assert!(!arrives && (31..=32).contains(&after), "{after}");
}

/// Reads two bodies as one, whose size is known.
async fn read_both(one: Trickle, other: Trickle) -> (bool, u64) {
    let began = Instant::now();
    let both = Both(one, other);
    let both = Watched::new(both, Duration::from_hours(1)).paced();
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
async fn body_of_unknown_size_has_the_rate_rule_once_it_is_large() {
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
async fn time_of_the_reader_does_not_count_against_the_client() {
    let mut body = Watched::new(Trickle::new(1, seconds(1.0), 5), seconds(10.0)).paced();
    for _ in 0..5 {
        sleep(Duration::from_secs(100)).await;
        body.frame().await.unwrap().unwrap();
    }
    assert!(body.frame().await.is_none());
}

/// A body that says when it is dropped.
struct Answer(Trickle, Arc<AtomicBool>);

impl Answer {
    fn returned(body: Trickle) -> (Returned<Self>, Arc<AtomicBool>) {
        let dropped = Arc::new(AtomicBool::new(false));
        (Returned::new(Self(body, Arc::clone(&dropped))), dropped)
    }
}

impl Body for Answer {
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

impl Drop for Answer {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn answer_that_the_client_does_not_read_is_dropped() {
    let (mut answer, dropped) = Answer::returned(Trickle::new(10 * KIB, seconds(1.0), 100));
    answer.frame().await.unwrap().unwrap();
    sleep(Duration::from_secs(39)).await;
    assert!(!dropped.load(Ordering::SeqCst));
    sleep(Duration::from_secs(3)).await;
    assert!(dropped.load(Ordering::SeqCst), "Keystone waits on");
    answer.frame().await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn answer_that_the_client_reads_byte_by_byte_is_dropped() {
    let (mut answer, dropped) = Answer::returned(Trickle::new(1, seconds(0.1), 1_000));
    let mut read = 0;
    while let Some(Ok(_)) = answer.frame().await {
        read += 1;
        sleep(Duration::from_secs(10)).await;
    }
    assert!(dropped.load(Ordering::SeqCst));
    assert!(read <= 4, "{read} bytes in {read}0 seconds");
}

#[tokio::test(start_paused = true)]
async fn answer_that_the_client_reads_at_one_kib_per_second_arrives_whole() {
    let (mut answer, _) = Answer::returned(Trickle::new(10 * KIB, seconds(1.0), 100));
    let mut read = 0;
    while let Some(frame) = answer.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(read, 1_000 * KIB);
}

#[tokio::test(start_paused = true)]
async fn time_of_keystone_does_not_count_against_the_client() {
    let (mut answer, _) = Answer::returned(Trickle::new(1, seconds(100.0), 10));
    let mut read = 0;
    while let Some(frame) = answer.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(read, 10);
}

#[tokio::test]
async fn byte_per_second_gets_408_and_frees_keystone() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.say("POST /upload HTTP/1.1\r\nHost: front\r\nContent-Length: 200000\r\n\r\n").await;
    let sending_and_hearing = async {
        loop {
            raw.say("x").await;
            if let Ok(heard) = timeout(Duration::from_secs(1), raw.hear("}}\n")).await {
                return heard;
            }
        }
    };
    let heard = timeout(Duration::from_mins(2), sending_and_hearing).await;
    let heard = heard.expect("the byte per second is enough");
    assert!(heard.starts_with("HTTP/1.1 408 Request Timeout"), "{heard}");
    keystone.given_up().await;
}
