//! Reads a request's body within bounds of size and time.

use std::{
    error::Error as StdError,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use crate::error::{Error, ErrorKind};

/// Reads a whole body of at most `limit` bytes within `timeout`.
///
/// # Errors
///
/// - [`ErrorKind::PayloadTooLarge`], without reading if the declared length is too large.
/// - [`ErrorKind::RequestTimeout`] if the body does not end in time.
/// - [`ErrorKind::BadRequest`] if the body ends with an error.
pub(crate) async fn body<B>(body: B, limit: usize, timeout: Duration) -> Result<Bytes, Error>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut collecting = pin!(collect(body, limit));
    // Most bodies have arrived already, and need no timer.
    if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(collecting.as_mut().poll(cx))).await {
        return result;
    }
    match tokio::time::timeout(timeout, collecting).await {
        Ok(result) => result,
        Err(elapsed) => {
            let error = Error::new(ErrorKind::RequestTimeout, "The body did not arrive in time.");
            Err(error.with_source(elapsed))
        }
    }
}

async fn collect<B>(body: B, limit: usize) -> Result<Bytes, Error>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut body = pin!(body);
    let broken = |error: B::Error| Error::bad_request("The body broke off.").with_source(error);
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        // Trailers are ignored.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        let data = within(data, limit - first.len().max(whole.len()))?;
        // A body in one piece, as most are, is not copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// Returns a chunk, unless it exceeds the room that is left.
fn within(mut data: impl bytes::Buf, room: usize) -> Result<Bytes, Error> {
    let size = data.remaining();
    if size > room { Err(too_large()) } else { Ok(data.copy_to_bytes(size)) }
}

fn too_large() -> Error {
    Error::new(ErrorKind::PayloadTooLarge, "The body is too large.")
}
