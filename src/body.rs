//! [`ResponseBody`]: the inner service's body, or our own bytes.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project::pin_project;

/// The response body of [`CredentialService`](crate::CredentialService), and of the service
/// that verifies S3 requests.
#[pin_project]
#[derive(Debug)]
pub struct ResponseBody<B> {
    #[pin]
    arm: Arm<B>,
}

#[pin_project(project = ArmProj)]
#[derive(Debug)]
enum Arm<B> {
    Inner(#[pin] B),
    Own(#[pin] Full<Bytes>),
}

impl<B> ResponseBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        Self { arm: Arm::Inner(body) }
    }

    pub(crate) fn own(body: Full<Bytes>) -> Self {
        Self { arm: Arm::Own(body) }
    }
}

impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::inner(B::default())
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().arm.project() {
            ArmProj::Inner(body) => body.poll_frame(cx),
            ArmProj::Own(body) => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.arm {
            Arm::Inner(body) => body.is_end_stream(),
            Arm::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.arm {
            Arm::Inner(body) => body.size_hint(),
            Arm::Own(body) => body.size_hint(),
        }
    }
}
