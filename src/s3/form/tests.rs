use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use http_body::Frame;
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;

use super::*;
use crate::{
    s3::VerifiedBody,
    signature::form::fixtures::{BOTO_V4, moment, secret},
};

const TYPE: &str = "multipart/form-data; boundary=XX";
const END: &str = "\r\n--XX--\r\n";

fn field(name: &str, value: &str) -> String {
    format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(content: &str) -> String {
    format!(
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cat.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n{content}"
    )
}

/// A form with a key and a file.
fn simple(content: &str) -> String {
    format!("{}{}{END}", field("key", "k"), file(content))
}

/// A body that yields pieces and is pending between them.
struct Pieces {
    left: VecDeque<Bytes>,
    waits: bool,
    /// The number of bytes that have been read.
    taken: Arc<AtomicUsize>,
}

impl Pieces {
    fn of(text: &str, size: usize) -> Self {
        let left = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        Self { left, waits: false, taken: Arc::default() }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.waits = !self.waits;
        if self.waits {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = self.left.pop_front();
        self.taken.fetch_add(piece.as_ref().map_or(0, Bytes::len), Relaxed);
        Poll::Ready(match piece {
            Some(piece) if piece == "!" => Some(Err("connection reset")),
            piece => piece.map(|piece| Ok(Frame::data(piece))),
        })
    }
}

async fn open(text: &str) -> Result<Upload, FormError> {
    open_as(text, TYPE).await
}

async fn open_as(text: &str, content_type: &str) -> Result<Upload, FormError> {
    let whole = read(Full::from(text.to_owned()), content_type).await;
    let pieces = read(Pieces::of(text, 7), content_type).await;
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole.form, pieces.form);
            Ok(pieces)
        }
        (Err(ReadError::Form(whole)), Err(ReadError::Form(pieces))) => {
            assert_eq!(whole, pieces);
            Err(pieces)
        }
        other => panic!("{other:?}"),
    }
}

/// Reads a file. Returns its content and the result.
async fn content(file: FormFile) -> (Vec<u8>, Result<(), PayloadErrorKind>) {
    let mut body = VerifiedBody::<Full<Bytes>>::file(file);
    let verdict = body.verdict().unwrap();
    let (mut data, mut end) = (Vec::new(), Ok(()));
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let frame = frame.into_data().unwrap();
                assert!(!frame.is_empty() && !body.is_end_stream());
                data.extend(frame);
            }
            Err(error) => end = Err(error.kind()),
        }
    }
    assert!(body.is_end_stream());
    assert_eq!(verdict.refused(), end.err().filter(|kind| *kind != PayloadErrorKind::Transport));
    (data, end)
}

#[tokio::test]
async fn botocore_form_yields_its_fields_and_its_file() {
    let fields: String = BOTO_V4.iter().map(|(name, value)| field(name, value)).collect();
    let text = format!("{fields}{}\r\n{}--XX--\r\n", file("a cat"), field("submit", "Upload"));
    let upload = open(&text).await.unwrap();
    let found: Vec<_> = upload.form.fields().collect();
    assert_eq!(found, BOTO_V4);
    assert_eq!(upload.form.key(), "photos/cat.jpg");
    assert_eq!(upload.form.content_type(), Some("image/jpeg"));
    let signed = upload.signed.unwrap();
    assert!(signed.verify(&secret()));
    let bounds = signed.check(&upload.form, "bucket", moment()).unwrap();
    assert_eq!(content(upload.file.within(bounds)).await, (b"a cat".to_vec(), Ok(())));
}

#[tokio::test]
async fn file_is_unchanged_in_pieces_of_every_size() {
    let like_a_boundary = "\r\n--X\r\n--\r\r\n\n--XX\r\n-- XX\0\u{e4}";
    for kept in ["", "x", "\r\n", like_a_boundary, &"long ".repeat(2_000)] {
        let text = simple(kept);
        for size in (1..=60).chain([1_000, text.len()]) {
            let upload = read(Pieces::of(&text, size), TYPE).await.unwrap();
            assert!(upload.signed.is_none());
            assert_eq!(content(upload.file).await, (kept.as_bytes().to_vec(), Ok(())), "{size}");
        }
    }
}

#[tokio::test]
async fn file_is_not_buffered() {
    let text = simple(&"x".repeat(1 << 20));
    let pieces = Pieces::of(&text, 4_096);
    let taken = Arc::clone(&pieces.taken);
    let upload = read(pieces, TYPE).await.unwrap();
    assert!(taken.load(Relaxed) <= 4_096);
    let mut body = VerifiedBody::<Full<Bytes>>::file(upload.file);
    let mut read = 0;
    while read < 500_000 {
        read += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        assert!(taken.load(Relaxed) - read <= 2 * 4_096, "{read}");
    }
}

#[tokio::test]
async fn file_length_is_limited() {
    let bounded =
        async |bounds| content(open(&simple("123456789")).await.unwrap().file.within(bounds)).await;
    for bounds in [0..=u64::MAX, 9..=9, 0..=9, 9..=10] {
        assert_eq!(bounded(bounds).await, (b"123456789".to_vec(), Ok(())));
    }
    let (data, end) = bounded(0..=8).await;
    assert!(data.len() <= 8 && end == Err(PayloadErrorKind::EntityTooLarge));
    assert_eq!(bounded(10..=20).await.1, Err(PayloadErrorKind::EntityTooSmall));
    let file = open(&simple("")).await.unwrap().file;
    assert_eq!(content(file.within(1..=2)).await.1, Err(PayloadErrorKind::EntityTooSmall));
}

#[tokio::test]
async fn form_without_an_end_fails() {
    let whole = simple("123");
    let start = whole.find("123").unwrap();
    let end = whole.len() - "\r\n".len();
    for cut in 0..end {
        let opened = read(Pieces::of(&whole[..cut], 9), TYPE).await;
        match opened {
            Err(ReadError::Form(error)) => {
                assert!(cut < start && error == FormError::Malformed, "{cut}");
            }
            Ok(upload) => {
                assert!(cut >= start);
                assert_eq!(content(upload.file).await.1, Err(PayloadErrorKind::Form), "{cut}");
            }
            other => panic!("{other:?}"),
        }
    }
    let upload = open(&whole[..end]).await.unwrap();
    assert_eq!(content(upload.file).await.1, Ok(()));
}

#[tokio::test]
async fn data_after_the_file_is_ignored_up_to_a_limit() {
    let with_end = async |end: &str| {
        let text = format!("{}{}\r\n{end}", field("key", "k"), file("123"));
        content(open(&text).await.unwrap().file).await
    };
    let good = (b"123".to_vec(), Ok(()));
    let more = [field("submit", "x"), field("key", "other"), file("456") + "\r\n"].concat();
    assert_eq!(with_end(&format!("{more}--XX--\r\nepilogue")).await, good);
    let long = field("x", &"x".repeat(10_000));
    assert_eq!(with_end(&format!("{long}--XX--\r\n")).await, good);
    for bad in [
        format!("{long}{long}{long}--XX--\r\n"),
        format!("--XX\r\nx: {}\r\n\r\n\r\n--XX--\r\n", "x".repeat(30_000)),
        "--XX\r\nx: y\r\n--XX--".to_owned(),
        "--XXY\r\n".to_owned(),
    ] {
        assert_eq!(with_end(&bad).await, (b"123".to_vec(), Err(PayloadErrorKind::Form)));
    }
}

#[tokio::test]
async fn data_before_the_file_is_limited() {
    let around = field("key", "k").len() + field("x", "").len() + file("").len();
    let text = |more: usize| {
        let fill = field("x", &"x".repeat(20 * 1024 - around + more));
        format!("{}{fill}{}{END}", field("key", "k"), file("123"))
    };
    assert_eq!(content(open(&text(0)).await.unwrap().file).await, (b"123".to_vec(), Ok(())));
    assert_eq!(open(&text(1)).await.unwrap_err(), FormError::TooLarge);

    let many = |count: usize| {
        let fields: String = (1..count).map(|n| field(&format!("x-{n}"), "x")).collect();
        format!("{}{fields}{}{END}", field("key", "k"), file("123"))
    };
    assert!(open(&many(100)).await.is_ok());
    assert_eq!(open(&many(101)).await.unwrap_err(), FormError::TooLarge);
    // A missing boundary, and headers without an end.
    for endless in ["x".repeat(100_000), format!("--XX\r\nx: {}", "x".repeat(100_000))] {
        assert_eq!(open(&endless).await.unwrap_err(), FormError::TooLarge);
    }
}

#[tokio::test]
async fn form_needs_a_key_and_a_file() {
    assert_eq!(
        open(&format!("{}--XX--", field("key", "k"))).await.unwrap_err(),
        FormError::MissingFile
    );
    assert_eq!(open("--XX--\r\n").await.unwrap_err(), FormError::MissingFile);
    let first = format!("{}\r\n{}--XX--", file("123"), field("key", "k"));
    assert_eq!(open(&first).await.unwrap_err(), FormError::MissingKey);
    let doubled = format!("{}{}", field("Key", "k"), simple("123"));
    assert_eq!(open(&doubled).await.unwrap_err(), FormError::Malformed);
    let upper = simple("123").replace("\"file\"", "\"File\"");
    assert!(open(&upper).await.is_ok());
    let half_signed = format!("{}{}", field("policy", "e30="), simple("123"));
    assert_eq!(open(&half_signed).await.unwrap_err(), FormError::Signature);
}

#[tokio::test]
async fn other_content_types_are_rejected() {
    for good in
        ["multipart/form-data;boundary=\"XX\"", "Multipart/Form-Data; charset=utf-8; Boundary=XX"]
    {
        assert!(open_as(&simple("123"), good).await.is_ok(), "{good}");
    }
    for bad in [
        "",
        "multipart/form-data",
        "multipart/mixed; boundary=XX",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary",
    ] {
        assert_eq!(open_as(&simple("123"), bad).await.unwrap_err(), FormError::Malformed, "{bad}");
    }
}

#[tokio::test]
async fn malformed_parts_are_rejected_or_read_as_declared() {
    let named = async |header: &str| {
        let part = format!("--XX\r\n{header}\r\n\r\nv\r\n");
        let upload = open(&format!("{part}{}", simple("123"))).await?;
        let (name, value) = upload.form.fields().next().unwrap();
        assert_eq!(value, "v");
        Ok::<_, FormError>(name.to_owned())
    };
    for (header, name) in [
        ("content-disposition: form-data; name=a", "a"),
        ("CONTENT-DISPOSITION: form-data; name=\"a\\\"b\"", "a\"b"),
        ("Content-Disposition: form-data; name=\"a; filename=b\"", "a; filename=b"),
        ("Content-Disposition: form-data; name=\"\"", ""),
        ("X: y\r\nContent-Disposition: form-data; name=\"a\"", "a"),
    ] {
        assert_eq!(named(header).await.as_deref(), Ok(name), "{header}");
    }
    for header in [
        "X: y",
        "Content-Disposition: form-data",
        "Content-Disposition: form-data; filename=\"a\"",
        "Content-Disposition: form-data; name=\"a",
        "Content-Disposition",
        " Content-Disposition: form-data; name=\"a\"",
        "Content-Disposition: form-data; name=\"a\"\r\nX\0: y",
    ] {
        assert_eq!(named(header).await, Err(FormError::Malformed), "{header}");
    }
    let invalid = simple("123").replace("\r\n\r\nk\r\n", "\r\n\r\n\u{fffd}\r\n");
    let invalid = invalid.into_bytes().into_iter().filter(|b| *b != 0xbf).collect::<Vec<_>>();
    let opened = read(Full::from(invalid), TYPE).await.unwrap_err();
    assert!(matches!(opened, ReadError::Form(FormError::Malformed)));
}

#[tokio::test]
async fn transport_error_is_reported_as_such() {
    let text = simple(&"x".repeat(2_000));
    let cut = |at: usize| {
        let mut pieces = Pieces::of(&text[..at], 20);
        pieces.left.push_back(Bytes::from_static(b"!"));
        pieces
    };
    let opened = read(cut(20), TYPE).await.unwrap_err();
    assert!(
        matches!(opened, ReadError::Transport(source) if source.to_string() == "connection reset")
    );
    let upload = read(cut(text.len() - 8), TYPE).await.unwrap();
    assert_eq!(content(upload.file).await.1, Err(PayloadErrorKind::Transport));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn reading_a_form_never_panics(
        text in "(--XX|\r\n|--|Content-Disposition: form-data; name=|\"file\"|\"key\"|x|: |;| ){0,40}",
        size in 1..50_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            if let Ok(upload) = read(Pieces::of(&text, size), TYPE).await {
                let _ = content(upload.file).await;
            }
        });
    }
}
