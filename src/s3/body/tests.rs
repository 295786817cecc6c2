use std::{collections::VecDeque, pin::pin, task::Waker};

use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, Empty, Full};
use sha2::{Digest, Sha256};

use super::*;
use crate::signature::{
    ChunkedError,
    checksum::ChecksumAlgorithm,
    chunked::fixtures::{self, Form, OF_DIGITS},
};

const DIGITS: &[u8] = b"123456789";

/// A body of these frames, which may report its end beforehand.
#[derive(Debug)]
struct Frames {
    frames: VecDeque<Next>,
    reports_end: bool,
}

#[derive(Debug)]
enum Next {
    Data(Bytes),
    Error,
    Pending,
    Trailers,
}

impl Frames {
    fn of(data: &[u8], size: usize) -> Self {
        let data = data.chunks(size).map(|piece| Next::Data(Bytes::copy_from_slice(piece)));
        Self { frames: data.collect(), reports_end: false }
    }

    fn reporting_its_end(self) -> Self {
        Self { reports_end: true, ..self }
    }

    fn then(mut self, next: Next) -> Self {
        self.frames.push_back(next);
        self
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(match self.frames.pop_front() {
            Some(Next::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Next::Error) => Some(Err("connection reset")),
            Some(Next::Pending) => return Poll::Pending,
            Some(Next::Trailers) => {
                let trailers = [("x-unsigned".parse().unwrap(), HeaderValue::from_static("x"))];
                Some(Ok(Frame::trailers(trailers.into_iter().collect())))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.reports_end && self.frames.is_empty()
    }
}

/// The result of a body: its data frame by frame, its trailers, and its end.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    data: Vec<Bytes>,
    trailers: HeaderMap,
    end: Result<(), PayloadErrorKind>,
}

impl Read {
    fn all(&self) -> Vec<u8> {
        self.data.concat()
    }
}

/// Reads to the end and past it. Checks `is_end_stream` and `size_hint` on the way.
fn read<B>(body: VerifiedBody<B>) -> Read
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let verdict = body.verdict();
    let mut body = pin!(body);
    let mut cx = Context::from_waker(Waker::noop());
    let mut read = Read { data: Vec::new(), trailers: HeaderMap::new(), end: Ok(()) };
    let hint = body.size_hint().exact();
    loop {
        let was_at_end = body.is_end_stream();
        let polled = body.as_mut().poll_frame(&mut cx);
        assert!(
            !was_at_end || matches!(polled, Poll::Ready(None)),
            "a frame after the reported end"
        );
        match polled {
            Poll::Pending => {}
            Poll::Ready(None) => break,
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => read.data.push(data),
                Err(frame) => read.trailers = frame.into_trailers().unwrap(),
            },
            Poll::Ready(Some(Err(error))) => read.end = Err(error.kind()),
        }
        let sum = read.all().len() as u64;
        if let (Some(hint), Some(left), Ok(())) = (hint, body.size_hint().exact(), read.end) {
            assert_eq!(sum + left, hint);
        }
    }
    if let Some(verdict) = verdict {
        let refused = read.end.err().filter(|kind| *kind != PayloadErrorKind::Transport);
        assert_eq!(verdict.refused(), refused);
        assert!(body.is_end_stream());
        assert!(matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(None)));
    }
    read
}

fn hashed(payload: &[u8], length: Option<u64>) -> Expected {
    Expected { sha256: Some(Sha256::digest(payload).into()), checksum: None, length }
}

#[test]
fn plain_body_passes_unchanged() {
    let read = read(VerifiedBody::plain(Frames::of(DIGITS, 4).then(Next::Trailers)));
    assert_eq!(read.data, ["1234", "5678", "9"]);
    assert_eq!(read.trailers["x-unsigned"], "x");
    let body = VerifiedBody::plain(Full::from("1234"));
    assert_eq!(body.size_hint().exact(), Some(4));
    assert!(body.verdict().is_none());
    let body = VerifiedBody::checked(Full::from("1234"), Expected::default()).unwrap();
    assert!(matches!(body.arm, Arm::Plain(_)));
    assert!(VerifiedBody::plain(Empty::new()).is_end_stream());
}

#[test]
fn body_with_matching_hash_is_read_to_its_end() {
    for length in [None, Some(9)] {
        for size in 1..=9 {
            let body = Frames::of(DIGITS, size).then(Next::Pending).then(Next::Trailers);
            let read = read(VerifiedBody::checked(body, hashed(DIGITS, length)).unwrap());
            assert_eq!((read.all(), read.end), (DIGITS.to_vec(), Ok(())));
            assert!(read.trailers.is_empty(), "they were not signed");
        }
    }
}

#[test]
fn wrong_hash_replaces_the_last_data_if_the_end_is_known() {
    let end = Err(PayloadErrorKind::HashMismatch);
    let wrong = |length| hashed(b"123456780", length);
    let in_sight = [
        VerifiedBody::checked(Frames::of(DIGITS, 4), wrong(Some(9))).unwrap(),
        VerifiedBody::checked(Frames::of(DIGITS, 4).reporting_its_end(), wrong(None)).unwrap(),
    ];
    for body in in_sight {
        let read = read(body);
        assert_eq!((read.all(), read.end), (b"12345678".to_vec(), end));
    }
    let read = read(VerifiedBody::checked(Frames::of(DIGITS, 4), wrong(None)).unwrap());
    assert_eq!((read.all(), read.end), (DIGITS.to_vec(), end));
}

#[test]
fn body_of_another_length_than_declared_fails() {
    for reports_end in [false, true] {
        for length in [0, 1, 8, 10, u64::MAX] {
            let body = Frames { reports_end, ..Frames::of(DIGITS, 2) };
            let payload = &DIGITS[..DIGITS.len().min(usize::try_from(length).unwrap())];
            let read = read(VerifiedBody::checked(body, hashed(payload, Some(length))).unwrap());
            assert_eq!(read.end, Err(PayloadErrorKind::Length), "{length}");
            assert!(read.all().len() as u64 <= length);
        }
    }
}

#[test]
fn empty_body_is_checked_at_once() {
    for length in [None, Some(0)] {
        let refused = VerifiedBody::checked(Empty::new(), hashed(b"x", length));
        assert_eq!(refused.unwrap_err(), PayloadErrorKind::HashMismatch);
        let body = VerifiedBody::checked(Empty::new(), hashed(b"", length)).unwrap();
        assert!(body.is_end_stream());
        assert_eq!(read(body).end, Ok(()));
    }
    let short = VerifiedBody::checked(Empty::new(), hashed(b"", Some(1)));
    assert_eq!(short.unwrap_err(), PayloadErrorKind::Length);
    // A body that does not report that it is empty is checked when it ends.
    let body = VerifiedBody::checked(Frames::of(b"", 1), hashed(b"x", None)).unwrap();
    assert!(!body.is_end_stream());
    assert_eq!(read(body).end, Err(PayloadErrorKind::HashMismatch));
}

#[test]
fn checksum_is_checked_like_a_hash() {
    let expect = |text| {
        let checksum = ChecksumAlgorithm::Crc32.parse(text);
        Expected { checksum, length: Some(9), ..Expected::default() }
    };
    let checked = |expected| read(VerifiedBody::checked(Frames::of(DIGITS, 4), expected).unwrap());
    assert_eq!(checked(expect("y/Q5Jg==")).end, Ok(()));
    let bad = checked(expect("AAAAAA=="));
    assert_eq!((bad.all(), bad.end), (b"12345678".to_vec(), Err(PayloadErrorKind::BadDigest)));

    let sha256 = hashed(DIGITS, None).sha256;
    assert_eq!(checked(Expected { sha256, ..expect("y/Q5Jg==") }).end, Ok(()));
    let both = Expected { sha256, ..expect("AAAAAA==") };
    assert_eq!(checked(both).end, Err(PayloadErrorKind::BadDigest));
    let both = Expected { sha256: Some([0; 32]), ..expect("y/Q5Jg==") };
    assert_eq!(checked(both).end, Err(PayloadErrorKind::HashMismatch));
}

#[test]
fn chunked_body_yields_its_payload_and_its_trailers() {
    let chunks: [&[u8]; 2] = [b"12345", b"6789"];
    let wire = fixtures::signed(&chunks, Some((OF_DIGITS, Form::Aws)));
    for size in 1..=wire.len() {
        let decoder = fixtures::decoder(9).with_trailers("x-amz-checksum-crc32").unwrap();
        let frames = Frames::of(&wire, size).then(Next::Pending).then(Next::Trailers);
        let body = VerifiedBody::chunked(frames, decoder);
        assert_eq!(body.size_hint().exact(), Some(9));
        let read = read(body);
        assert_eq!((read.all(), read.end), (DIGITS.to_vec(), Ok(())));
        assert_eq!(read.trailers.len(), 1, "those of HTTP were not signed");
        assert_eq!(read.trailers["x-amz-checksum-crc32"], "y/Q5Jg==");
    }
    let wire = fixtures::signed(&[], None);
    let read = read(VerifiedBody::chunked(Frames::of(&wire, 9), fixtures::decoder(0)));
    assert_eq!((read.data.len(), read.trailers.len(), read.end), (0, 0, Ok(())));
}

#[test]
fn last_data_of_a_chunked_body_waits_for_the_end() {
    let chunks: [&[u8]; 2] = [b"12345", b"6789"];
    let wire = Bytes::from(fixtures::signed(&chunks, None));
    let broken = |wire: &[u8], kind: ChunkedError| {
        let body = VerifiedBody::chunked(Frames::of(wire, wire.len()), fixtures::decoder(9));
        let read = read(body);
        assert_eq!(read.all(), b"12345");
        assert_eq!(read.end, Err(PayloadErrorKind::Chunked(kind)));
    };
    broken(&wire[..wire.len() - 1], ChunkedError::Truncated);
    broken(&[&wire, &b"\r\n"[..]].concat(), ChunkedError::Malformed);
    let mut forged = wire.to_vec();
    let at = forged.len() - 5;
    forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
    broken(&forged, ChunkedError::ChunkSignature);
}

#[test]
fn transport_error_is_reported_as_such_and_ends_the_body() {
    let wire = fixtures::signed(&[b"123", b"456"], None);
    let frames = || Frames::of(&wire[..120], 120).then(Next::Error);
    let bodies = [
        VerifiedBody::chunked(frames(), fixtures::decoder(6)),
        VerifiedBody::checked(frames(), hashed(DIGITS, None)).unwrap(),
        VerifiedBody::plain(frames()),
    ];
    for body in bodies {
        let read = read(body);
        assert_eq!(read.end, Err(PayloadErrorKind::Transport));
        assert!(!read.data.is_empty());
    }
}

#[tokio::test]
async fn transport_error_keeps_its_cause() {
    let mut body =
        pin!(VerifiedBody::chunked(Frames::of(b"", 1).then(Next::Error), fixtures::decoder(6)));
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "connection reset");
}

#[test]
fn pending_body_is_polled_again() {
    let frames = Frames::of(b"", 1).then(Next::Pending);
    let mut body = pin!(VerifiedBody::checked(frames, hashed(b"", None)).unwrap());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(body.as_mut().poll_frame(&mut cx).is_pending());
    assert!(matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(None)));
}
