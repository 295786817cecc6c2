//! [`ResponseFuture`]: the inner service's future inline, a refusal, or a decision that must
//! wait first.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use pin_project::pin_project;
use tower::Service;

use super::{
    body::VerifiedBody,
    payload_error::Verdict,
    refusal::{Refusal, RefusalContext},
};
use crate::{
    body::ResponseBody,
    guessers::{Held, Late},
};

/// Response future of [`S3AuthService`](super::S3AuthService).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<VerifiedBody<B>>>,
    B: Body<Data = Bytes>,
{
    #[pin]
    state: State<S, S::Future, B>,
}

#[pin_project(project = StateProj)]
enum State<S, F, B: Body<Data = Bytes>> {
    /// Waits for the decision, then calls the service, which is ready.
    Deciding(Deciding<B>, S),
    /// Waits for the service, with the verdict on the body if that is checked.
    Calling(#[pin] F, Option<(Verdict, RefusalContext)>),
    Refused(Option<Response<Full<Bytes>>>),
    /// Waits before the refusal of a client that has guessed too often.
    Late(Box<Late<Full<Bytes>>>),
}

/// The request for the inner service, or the response that refuses it.
type Decided<B> = Result<Request<VerifiedBody<B>>, Held<Full<Bytes>>>;

type Deciding<B> = Pin<Box<dyn Future<Output = Decided<B>> + Send>>;

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<VerifiedBody<B>>>,
    B: Body<Data = Bytes>,
{
    pub(super) fn deciding(deciding: Deciding<B>, ready: S) -> Self {
        Self { state: State::Deciding(deciding, ready) }
    }

    #[inline]
    pub(super) fn decided(ready: &mut S, decided: Decided<B>) -> Self {
        Self { state: act(ready, decided) }
    }

    pub(super) fn refused(refusal: Held<Full<Bytes>>) -> Self {
        Self { state: refuse(refusal) }
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<VerifiedBody<B>>, Response = Response<ResBody>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Deciding(deciding, ready) => {
                    let decided = ready!(deciding.as_mut().poll(cx));
                    act(ready, decided)
                }
                StateProj::Calling(future, checked) => {
                    let response = ready!(future.poll(cx))?;
                    // If the body failed, the client receives the reason, whatever the app
                    // responds.
                    let refused = checked.as_ref().and_then(|(verdict, context)| {
                        Some(Refusal::from(verdict.refused()?).render(context))
                    });
                    return Poll::Ready(Ok(match refused {
                        Some(response) => response.map(ResponseBody::own),
                        None => response.map(ResponseBody::inner),
                    }));
                }
                StateProj::Late(late) => {
                    let response = ready!(Pin::new(late).poll(cx));
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
                StateProj::Refused(response) => {
                    let response = response.take().expect("polled after completion");
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
            };
            this.state.set(next);
        }
    }
}

/// Takes the ready inner service, to call it later. A clone, which may not be ready, replaces
/// it.
pub(super) fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    mem::replace(inner, clone)
}

#[inline]
fn act<S, B>(ready: &mut S, decided: Decided<B>) -> State<S, S::Future, B>
where
    S: Service<Request<VerifiedBody<B>>>,
    B: Body<Data = Bytes>,
{
    match decided {
        Ok(request) => {
            let checked =
                request.body().verdict().map(|verdict| (verdict, RefusalContext::of(&request)));
            State::Calling(ready.call(request), checked)
        }
        Err(refusal) => refuse(refusal),
    }
}

fn refuse<S, F, B: Body<Data = Bytes>>(refusal: Held<Full<Bytes>>) -> State<S, F, B> {
    match refusal.pause {
        Some(pause) => State::Late(Box::new(pause.hold(refusal.response))),
        None => State::Refused(Some(refusal.response)),
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<VerifiedBody<B>>>,
    B: Body<Data = Bytes>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
