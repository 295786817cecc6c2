//! [`VerifiedBody`]: the body of a request, checked while the app reads it.

mod buffered;
mod checked;
mod chunked;
mod file;

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

pub(super) use self::checked::Expected;
use self::{buffered::Buffered, checked::Checked, chunked::Chunked, file::File};
use super::{
    buffers::Reservation,
    form::FormFile,
    payload_error::{PayloadError, PayloadErrorKind, Verdict},
};
use crate::signature::ChunkDecoder;

/// The body of a request behind the layer: the signed payload.
///
/// The layer checks a payload with a hash or a checksum while the app reads it. It decodes a
/// payload in chunks. The payload of a form is its file.
///
/// An invalid payload ends in a [`PayloadError`] **instead of the last data**, so that an app
/// that counts bytes cannot miss the error. If the length is not known beforehand, the error
/// comes instead of the end. Discard what you have read of a body that fails. After an error
/// the body has ended.
///
/// Behind `S3sGuardLayer` (feature `s3s`) the body is not verified: it is passed on as it
/// arrives, and `s3s` verifies it. A form is passed on whole.
///
/// Nothing is buffered, but the body of `DeleteObjects` for a key whose boundary is about keys:
/// the layer reads and checks it first. The trailers of a checked payload are those that were signed or
/// checked; HTTP trailers, which are neither, are left out.
///
/// An unsigned payload without a checksum is passed on as it arrives, with its HTTP trailers.
/// Neither is verified. The layer does not check `Content-MD5`; that is up to the store.
#[pin_project]
#[derive(Debug)]
pub struct VerifiedBody<B> {
    #[pin]
    arm: Arm<B>,
}

#[pin_project(project = ArmProj)]
#[derive(Debug)]
enum Arm<B> {
    /// Rare, so that it does not make other bodies larger.
    Buffered(Box<Buffered>),
    Checked(#[pin] Checked<B>),
    Chunked(#[pin] Chunked<B>),
    File(File),
    Plain(#[pin] B),
}

impl<B: Body<Data = Bytes>> VerifiedBody<B> {
    /// Passes a body as it arrives.
    pub(super) fn plain(body: B) -> Self {
        Self { arm: Arm::Plain(body) }
    }

    /// Passes a body that was read before.
    pub(super) fn buffered(bytes: Bytes, reservation: Reservation) -> Self {
        Self { arm: Arm::Buffered(Box::new(Buffered::new(bytes, reservation))) }
    }

    /// Checks a body against what is expected. Checks an empty body at once.
    pub(super) fn checked(body: B, expected: Expected) -> Result<Self, PayloadErrorKind> {
        if expected.is_nothing() {
            return Ok(Self::plain(body));
        }
        Ok(Self { arm: Arm::Checked(Checked::new(body, expected)?) })
    }

    /// Decodes a body in chunks.
    pub(super) fn chunked(body: B, decoder: ChunkDecoder) -> Self {
        Self { arm: Arm::Chunked(Chunked::new(body, decoder)) }
    }

    /// Passes the file of a form.
    pub(super) fn file(file: FormFile) -> Self {
        Self { arm: Arm::File(File::new(file, Bytes::new(), Bytes::new())) }
    }

    /// Passes a whole form: the file, between a head and a tail.
    #[cfg(feature = "s3s")]
    pub(super) fn form(head: Bytes, file: FormFile, tail: Bytes) -> Self {
        Self { arm: Arm::File(File::new(file, head, tail)) }
    }

    /// Returns the verdict on the payload, if it is checked.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        match &self.arm {
            Arm::Checked(body) => Some(body.verdict()),
            Arm::Chunked(body) => Some(body.verdict()),
            Arm::File(body) => Some(body.verdict()),
            Arm::Buffered(_) | Arm::Plain(_) => None,
        }
    }
}

impl<B> Body for VerifiedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Data = Bytes;
    type Error = PayloadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        match self.project().arm.project() {
            ArmProj::Buffered(body) => Poll::Ready(body.take().map(|data| Ok(Frame::data(data)))),
            ArmProj::Checked(body) => body.poll_frame(cx),
            ArmProj::Chunked(body) => body.poll_frame(cx),
            ArmProj::File(body) => body.poll_frame(cx),
            ArmProj::Plain(body) => Poll::Ready(
                ready!(body.poll_frame(cx)).map(|frame| frame.map_err(PayloadError::transport)),
            ),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.arm {
            Arm::Buffered(body) => body.is_end_stream(),
            Arm::Checked(body) => body.is_end_stream(),
            Arm::Chunked(body) => body.is_end_stream(),
            Arm::File(body) => body.is_end_stream(),
            Arm::Plain(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.arm {
            Arm::Buffered(body) => body.size_hint(),
            Arm::Checked(body) => body.size_hint(),
            Arm::Chunked(body) => body.size_hint(),
            Arm::File(body) => body.size_hint(),
            Arm::Plain(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests;
