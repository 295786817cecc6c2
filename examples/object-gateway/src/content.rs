//! The bytes of objects, and the room that they take.

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

/// Bytes of content that lie together.
const CHUNK: usize = 1 << 20;

/// How long a client may send nothing of a body.
const PATIENCE: Duration = Duration::from_mins(1);

/// Room for so many bytes. A clone is the same room.
#[derive(Clone, Debug)]
pub struct Space(Arc<AtomicU64>);

/// Some of the room, which is free again once this is dropped.
#[derive(Debug)]
pub struct Held {
    space: Space,
    bytes: u64,
}

/// What is in an object, or in a part of one.
#[derive(Debug)]
pub struct Content {
    chunks: Vec<Bytes>,
    length: u64,
    held: Held,
}

/// An answer's body. It keeps the room of the content that it is of.
#[derive(Debug)]
pub struct Outgoing {
    frames: VecDeque<Bytes>,
    left: u64,
    #[expect(dead_code, reason = "keeps the room of the frames")]
    content: Option<Arc<Content>>,
}

impl Space {
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    pub fn hold(&self, bytes: u64) -> Result<Held, Fault> {
        let mut held = Held { space: self.clone(), bytes: 0 };
        held.grow(bytes)?;
        Ok(held)
    }
}

impl Held {
    fn grow(&mut self, by: u64) -> Result<(), Fault> {
        let Space(free) = &self.space;
        free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(by))
            .map_err(|_| Fault::no_space())?;
        self.bytes += by;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.space.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

impl Content {
    /// Takes in a body, frame by frame, as far as there is room; with it comes the
    /// MD5 of what it held.
    pub async fn receive<B>(space: &Space, body: B) -> Result<(Self, [u8; 16]), Fault>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut body = pin!(body);
        // Refused at once when it is known beforehand that it does not fit.
        drop(space.hold(body.size_hint().lower())?);
        let (mut held, mut md5) = (space.hold(0)?, Md5::new());
        let (mut chunks, mut last) = (Vec::new(), Vec::new());
        loop {
            // A body that is in memory already would hold up all others.
            consume_budget().await;
            let frame = timeout(PATIENCE, body.frame()).await.map_err(|_| timed_out())?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| broken_off(&*error.into()))?;
            let Ok(mut data) = frame.into_data() else { continue };
            held.grow(data.len() as u64)?;
            md5.update(&data);
            // The frame is copied: it may be a small piece of a large buffer.
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
        let length = held.bytes;
        Ok((Self { chunks, length, held }, md5.finalize().into()))
    }

    /// Both, one after the other, without copying them.
    pub fn followed_by(mut self, mut next: Self) -> Self {
        self.chunks.append(&mut next.chunks);
        self.length += next.length;
        // What is moved over is not given back when the other is dropped.
        self.held.bytes += std::mem::take(&mut next.held.bytes);
        self
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes of a range that lies within.
    pub fn part(self: &Arc<Self>, range: Range<u64>) -> Outgoing {
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
        Outgoing { frames, left, content: Some(Arc::clone(self)) }
    }
}

impl Outgoing {
    pub fn bytes(bytes: Bytes) -> Self {
        let left = bytes.len() as u64;
        let frames = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self { frames: frames.into_iter().collect(), left, content: None }
    }

    pub fn empty() -> Self {
        Self::bytes(Bytes::new())
    }
}

impl Body for Outgoing {
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

/// Reads a whole body of at most so many bytes.
pub async fn read<B>(body: B, limit: usize) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let collected = timeout(PATIENCE, Limited::new(body, limit).collect()).await;
    match collected.map_err(|_| timed_out())? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Fault::bad("EntityTooLarge", "The body is larger than anybody needs."))
        }
        Err(error) => Err(broken_off(&*error)),
    }
}

fn timed_out() -> Fault {
    Fault::bad("RequestTimeout", "Nothing of the body arrived for too long.")
}

/// A body that ends too early, or that is not what was signed: of that, the layer
/// in front tells the client more.
fn broken_off(error: &(dyn Error + Send + Sync + 'static)) -> Fault {
    tracing::debug!(error = error as &dyn Error, "a body broke off");
    Fault::bad("IncompleteBody", "The body is not what was announced.")
}
