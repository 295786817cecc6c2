//! [`ResponseFuture`]: the inner service's future inline, or our own, boxed.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use pin_project::pin_project;

use crate::{body::ResponseBody, guessers::Held};

/// Response future of [`CredentialService`](crate::CredentialService).
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Inner(#[pin] F),
    Own(Handler),
}

/// Infallible by type: every refusal and failure is already rendered as a response, so
/// the layer adds no error of its own to the stack.
pub(crate) type Handler = Pin<Box<dyn Future<Output = Held<Full<Bytes>>> + Send>>;

impl<F> ResponseFuture<F> {
    pub(crate) fn inner(future: F) -> Self {
        Self { state: State::Inner(future) }
    }

    pub(crate) fn own(handler: Handler) -> Self {
        Self { state: State::Own(handler) }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match self.project().state.project() {
            StateProj::Inner(future) => ready!(future.poll(cx))?.map(ResponseBody::inner),
            StateProj::Own(handler) => loop {
                let Held { response, pause } = ready!(handler.as_mut().poll(cx));
                let Some(pause) = pause else { break response.map(ResponseBody::own) };
                // Drops what is left of the request before the pause.
                let late = pause.hold(response);
                *handler = Box::pin(async { late.await.into() });
            },
        }))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
