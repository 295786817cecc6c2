//! [`VerifiedBody`]: the request's body, checked as it is read.

mod checked;
mod chunked;
mod file;
mod verdict;

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use self::{checked::Checked, chunked::Chunked, file::File};
pub(crate) use self::{checked::Expected, verdict::Verdict};
use super::{
    form::FormFile,
    payload_error::{PayloadError, PayloadErrorKind},
};
use crate::signature::ChunkDecoder;

/// Request body behind the layer: the payload that was signed.
///
/// A payload with a hash or a checksum is checked as it is read, one in chunks is
/// taken out of them, and of a form it is the file alone. What does not prove right
/// ends in a [`PayloadError`]: **instead of the last data**, so that whoever counts
/// bytes cannot miss it, except if nothing says beforehand where the payload ends;
/// then instead of the end. An app must not keep what it has read of a body that
/// fails. After an error the body is over.
///
/// Behind `S3sGuardLayer` (feature `s3s`) nothing of it is verified: the body is as it
/// arrives, and a form is whole, for `s3s` to verify.
///
/// Nothing is collected. Trailers of a payload that is checked are those that were
/// signed or checked; those of HTTP, which are neither, are left out.
///
/// A payload that its client left unsigned, and without a checksum, passes as it is,
/// with the trailers of HTTP: nothing vouches for either. Nobody checks `Content-MD5`,
/// which is for the store to do.
#[pin_project]
#[derive(Debug)]
pub struct VerifiedBody<B> {
    #[pin]
    arm: Arm<B>,
}

#[pin_project(project = ArmProj)]
#[derive(Debug)]
enum Arm<B> {
    Checked(#[pin] Checked<B>),
    Chunked(#[pin] Chunked<B>),
    File(File),
    Plain(#[pin] B),
}

impl<B: Body<Data = Bytes>> VerifiedBody<B> {
    /// A body of which nothing is known.
    pub(crate) fn plain(body: B) -> Self {
        Self { arm: Arm::Plain(body) }
    }

    /// A body that must come to what is expected. One that is empty is checked at once.
    pub(crate) fn checked(body: B, expected: Expected) -> Result<Self, PayloadErrorKind> {
        if expected.is_nothing() {
            return Ok(Self::plain(body));
        }
        Ok(Self { arm: Arm::Checked(Checked::new(body, expected)?) })
    }

    /// A body in chunks.
    pub(crate) fn chunked(body: B, decoder: ChunkDecoder) -> Self {
        Self { arm: Arm::Chunked(Chunked::new(body, decoder)) }
    }

    /// The file of a form.
    pub(crate) fn file(file: FormFile) -> Self {
        Self { arm: Arm::File(File::new(file, Bytes::new(), Bytes::new())) }
    }

    /// A whole form.
    #[cfg(feature = "s3s")]
    pub(crate) fn form(form: super::form::WrittenForm) -> Self {
        Self { arm: Arm::File(File::new(form.file, form.head, form.tail)) }
    }

    /// What will tell whether the payload was refused, if it is checked at all.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        match &self.arm {
            Arm::Checked(body) => Some(body.verdict()),
            Arm::Chunked(body) => Some(body.verdict()),
            Arm::File(body) => Some(body.verdict()),
            Arm::Plain(_) => None,
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
            Arm::Checked(body) => body.is_end_stream(),
            Arm::Chunked(body) => body.is_end_stream(),
            Arm::File(body) => body.is_end_stream(),
            Arm::Plain(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.arm {
            Arm::Checked(body) => body.size_hint(),
            Arm::Chunked(body) => body.size_hint(),
            Arm::File(body) => body.size_hint(),
            Arm::Plain(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests;
