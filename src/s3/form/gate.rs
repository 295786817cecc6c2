//! [`Gate`]: limits what a parser gets of a body.

use std::{
    error::Error as StdError,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use pin_project::pin_project;

/// The largest piece while bytes are counted.
const PIECE: u64 = 1024;

/// The number of bytes that a parser may still get.
#[derive(Clone, Debug)]
pub(super) struct Allowance(Arc<AtomicU64>);

impl Allowance {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Allows this number of bytes from now on.
    pub(super) fn set(&self, bytes: u64) {
        self.0.store(bytes, Relaxed);
    }

    /// Returns whether nothing is left. A parser that waits then would wait forever.
    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    /// Allows everything from now on.
    pub(super) fn lift(&self) {
        self.set(u64::MAX);
    }
}

/// A body that yields one piece each time its parser is polled, and no more than its
/// [`Allowance`]. When that [is spent](Allowance::is_spent), the body stays pending forever.
#[pin_project]
pub(super) struct Gate<B> {
    #[pin]
    body: B,
    allowance: Allowance,
    /// The rest of a frame.
    held: Bytes,
    /// Whether a piece has been yielded since the body was last pending.
    yielded: bool,
}

impl<B> Gate<B> {
    pub(super) fn new(body: B, allowance: Allowance) -> Self {
        Self { body, allowance, held: Bytes::new(), yielded: false }
    }
}

impl<B> Body for Gate<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        if std::mem::take(this.yielded) {
            // The parser polls until the body is pending, and only then parses what it has.
            // Wake it to continue.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        while this.held.is_empty() {
            match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => *this.held = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
        }
        let allowance = this.allowance.0.load(Relaxed);
        let size = this.held.len() as u64;
        let size = match allowance {
            // The caller of the parser checks `is_spent` and does not wait.
            0 => return Poll::Pending,
            u64::MAX => size,
            allowance => {
                let size = size.min(allowance).min(PIECE);
                this.allowance.set(allowance - size);
                size
            }
        };
        *this.yielded = true;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Poll::Ready(Some(Ok(Frame::data(this.held.split_to(size)))))
    }
}
