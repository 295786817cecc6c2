//! Measures out a body to a parser that takes whatever is there.

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

/// The most that is given at a time while it is counted, in bytes.
const PIECE: u64 = 1024;

/// How many bytes may still be given.
#[derive(Clone, Debug)]
pub(super) struct Ration(Arc<AtomicU64>);

impl Ration {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Gives as many bytes from now on.
    pub(super) fn set(&self, bytes: u64) {
        self.0.store(bytes, Relaxed);
    }

    /// Whether a parser that waits waits for what it may not have.
    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    /// Counts no longer.
    pub(super) fn lift(&self) {
        self.set(u64::MAX);
    }
}

/// A body that gives one piece each time that its parser is polled, and no more than
/// its [`Ration`]. A parser that waits when that [is spent](Ration::is_spent) waits for
/// ever.
#[pin_project]
pub(super) struct Gate<B> {
    #[pin]
    body: B,
    ration: Ration,
    /// What is left of a frame.
    held: Bytes,
    /// Whether a piece has been given since the gate last asked to wait.
    given: bool,
}

impl<B> Gate<B> {
    pub(super) fn new(body: B, ration: Ration) -> Self {
        Self { body, ration, held: Bytes::new(), given: false }
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
        if std::mem::take(this.given) {
            // The parser asks until it hears that it must wait. It looks at what it
            // has then, and is to come again.
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
        let ration = this.ration.0.load(Relaxed);
        let size = this.held.len() as u64;
        let size = match ration {
            // Whoever polls the parser sees to it that nobody waits for this.
            0 => return Poll::Pending,
            u64::MAX => size,
            ration => {
                let size = size.min(ration).min(PIECE);
                this.ration.set(ration - size);
                size
            }
        };
        *this.given = true;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Poll::Ready(Some(Ok(Frame::data(this.held.split_to(size)))))
    }
}
