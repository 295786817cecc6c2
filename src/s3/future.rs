//! [`ResponseFuture`]: the inner service's future inline, a refusal, or a question
//! first.

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
    body::{Verdict, VerifiedBody},
    refusal::{Asked, Refusal},
};
use crate::body::ResponseBody;

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
    /// Somebody is asked, and then the service is called, which is ready.
    Asking(Asking<B>, S),
    /// With what will tell whether the body failed, if it is checked.
    Calling(#[pin] F, Option<(Verdict, Asked)>),
    Refused(Option<Response<Full<Bytes>>>),
}

/// What comes of asking: the request for the service, or the answer.
pub(super) type Asking<B> =
    Pin<Box<dyn Future<Output = Result<Request<VerifiedBody<B>>, Response<Full<Bytes>>>> + Send>>;

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<VerifiedBody<B>>>,
    B: Body<Data = Bytes>,
{
    pub(super) fn asking(asking: Asking<B>, ready: S) -> Self {
        Self { state: State::Asking(asking, ready) }
    }

    pub(super) fn calling(ready: &mut S, request: Request<VerifiedBody<B>>) -> Self {
        Self { state: call(ready, request) }
    }

    pub(super) fn refused(answer: Response<Full<Bytes>>) -> Self {
        Self { state: State::Refused(Some(answer)) }
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
                StateProj::Asking(asking, ready) => match ready!(asking.as_mut().poll(cx)) {
                    Ok(request) => call(ready, request),
                    Err(answer) => State::Refused(Some(answer)),
                },
                StateProj::Calling(future, checked) => {
                    let response = ready!(future.poll(cx))?;
                    // Whatever the app made of a body that failed, the client is told why.
                    let refused = checked.as_ref().and_then(|(verdict, asked)| {
                        Some(Refusal::from(verdict.refused()?).render(asked))
                    });
                    return Poll::Ready(Ok(match refused {
                        Some(answer) => answer.map(ResponseBody::own),
                        None => response.map(ResponseBody::inner),
                    }));
                }
                StateProj::Refused(response) => {
                    let response = response.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
            };
            this.state.set(next);
        }
    }
}

/// Takes the inner service that is ready, to call it later. A clone, which may not be ready,
/// takes its place.
pub(super) fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    mem::replace(inner, clone)
}

fn call<S, B>(ready: &mut S, request: Request<VerifiedBody<B>>) -> State<S, S::Future, B>
where
    S: Service<Request<VerifiedBody<B>>>,
    B: Body<Data = Bytes>,
{
    let checked = request.body().verdict().map(|verdict| (verdict, Asked::of(&request)));
    State::Calling(ready.call(request), checked)
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
