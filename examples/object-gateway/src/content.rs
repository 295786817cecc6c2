//! The content of objects, and the memory that it takes.

use std::{
    collections::VecDeque,
    convert::Infallible,
    error::Error,
    ops::Range,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use md5::{Digest, Md5};
use tokio::{task::consume_budget, time::timeout};

use crate::fault::Fault;

/// The size of a chunk of content.
const CHUNK: usize = 1 << 20;

/// How long to wait for the next frame of a body.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// The memory that is left for objects. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicU64>);

/// Reserved memory. Dropping it returns the memory to the budget.
#[derive(Debug)]
pub struct Reserved {
    budget: Budget,
    bytes: u64,
}

/// The content of an object or of a part.
#[derive(Debug)]
pub struct Content {
    chunks: Vec<Bytes>,
    length: u64,
    reserved: Reserved,
}

/// The body of a response. It keeps the memory of its content reserved.
#[derive(Debug)]
pub struct ContentBody {
    frames: VecDeque<Bytes>,
    left: u64,
    #[expect(dead_code, reason = "keeps the memory of the frames reserved")]
    content: Option<Arc<Content>>,
}

impl Budget {
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    pub fn reserve(&self, bytes: u64) -> Result<Reserved, Fault> {
        let mut reserved = Reserved { budget: self.clone(), bytes: 0 };
        reserved.grow(bytes)?;
        Ok(reserved)
    }
}

impl Reserved {
    fn grow(&mut self, by: u64) -> Result<(), Fault> {
        let Budget(free) = &self.budget;
        free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(by))
            .map_err(|_| Fault::no_space())?;
        self.bytes += by;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

impl Content {
    /// Receives a body within the budget; returns the content and its MD5.
    pub async fn receive<B>(budget: &Budget, body: B) -> Result<(Self, [u8; 16]), Fault>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut body = pin!(body);
        // Rejects a body at once if its declared length exceeds the budget.
        drop(budget.reserve(body.size_hint().lower())?);
        let (mut reserved, mut md5) = (budget.reserve(0)?, Md5::new());
        let (mut chunks, mut last) = (Vec::new(), Vec::new());
        loop {
            // A body that is in memory would never yield to other tasks.
            consume_budget().await;
            let frame = timeout(BODY_TIMEOUT, body.frame()).await.map_err(|_| timed_out())?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| incomplete(&*error.into()))?;
            let Ok(mut data) = frame.into_data() else { continue };
            reserved.grow(data.len() as u64)?;
            md5.update(&data);
            // Copies the frame, which may be a small part of a large buffer.
            while !data.is_empty() {
                let piece = data.split_to(data.len().min(CHUNK - last.len()));
                last.extend_from_slice(&piece);
                if last.len() == CHUNK {
                    chunks.push(Bytes::from(std::mem::take(&mut last).into_boxed_slice()));
                }
            }
        }
        if !last.is_empty() {
            chunks.push(Bytes::from(last.into_boxed_slice()));
        }
        let length = reserved.bytes;
        Ok((Self { chunks, length, reserved }, md5.finalize().into()))
    }

    /// Concatenates two contents without copying them.
    pub fn followed_by(mut self, mut next: Self) -> Self {
        self.chunks.append(&mut next.chunks);
        self.length += next.length;
        // Moves the reservation; `next` is dropped.
        self.reserved.bytes += std::mem::take(&mut next.reserved.bytes);
        self
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes of a range, which must be within the content.
    pub fn slice(self: &Arc<Self>, range: Range<u64>) -> ContentBody {
        let (mut frames, mut at) = (VecDeque::new(), 0);
        for chunk in &self.chunks {
            let clamped = |place: u64| place.clamp(at, at + chunk.len() as u64) - at;
            let (start, end) = (clamped(range.start), clamped(range.end));
            if let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end))
                && start < end
            {
                frames.push_back(chunk.slice(start..end));
            }
            at += chunk.len() as u64;
        }
        let left = range.end - range.start;
        ContentBody { frames, left, content: Some(Arc::clone(self)) }
    }
}

impl ContentBody {
    pub fn bytes(bytes: Bytes) -> Self {
        let left = bytes.len() as u64;
        let frames = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self { frames: frames.into_iter().collect(), left, content: None }
    }

    pub fn empty() -> Self {
        Self::bytes(Bytes::new())
    }
}

impl Body for ContentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frames.pop_front();
        self.left -= frame.as_ref().map_or(0, |frame| frame.len() as u64);
        Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Reads a body of at most `limit` bytes.
pub async fn read<B>(body: B, limit: usize) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let collected = timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await;
    match collected.map_err(|_| timed_out())? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Fault::bad("EntityTooLarge", format!("The body exceeds {limit} bytes.")))
        }
        Err(error) => Err(incomplete(&*error)),
    }
}

fn timed_out() -> Fault {
    Fault::bad("RequestTimeout", "The server waited more than 60 seconds for the body.")
}

/// The error of a body that ended early or does not match its signature. `S3AuthLayer` replaces the
/// response by a more exact one.
fn incomplete(error: &(dyn Error + Send + Sync + 'static)) -> Fault {
    tracing::debug!(
        error = error as &dyn Error,
        "request body ended early or does not match its signature"
    );
    Fault::bad("IncompleteBody", "The body ended early or does not match its signature.")
}
