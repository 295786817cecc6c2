//! Hands the session token of a request from the guard to `S3sAuth`, which `s3s` gives only the
//! access key, and hands back how far the verification got.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tower::Service;

use super::verification::Verification;
use crate::{
    guessers::{Guessers, Late},
    origin::ClientAddress,
    session::Presented,
};

tokio::task_local! {
    /// The request that is being served.
    static SERVED: Served;
}

/// What the guard and the parts of an `s3s` service tell each other about a request.
struct Served {
    token: Option<Arc<str>>,
    /// `None` if nobody wants to know.
    verification: Option<RefCell<Verification>>,
}

/// The session token of a request, among its extensions.
#[derive(Clone)]
pub(super) struct SessionTokenOf(Arc<str>);

opaque_debug!(SessionTokenOf);

impl SessionTokenOf {
    pub(super) fn new(token: &str) -> Self {
        Self(token.into())
    }
}

/// Returns the session with this access key, if the request that is being served has its token.
pub(super) fn presented(access_key: &str) -> Option<Presented<'static>> {
    let token = SERVED.try_with(|served| served.token.clone()).ok().flatten()?;
    Presented::of(token.to_string(), access_key)
}

/// Notes how far the verification of the request that is being served got.
pub(super) fn note(verification: impl FnOnce() -> Verification) {
    // Without the guard, nobody wants to know.
    let _ = SERVED.try_with(|served| {
        if let Some(noted) = &served.verification {
            noted.replace(verification());
        }
    });
}

/// Serves each request with its session token at hand, and counts the guesses.
#[derive(Clone, Debug)]
pub struct WithSession<S> {
    pub(super) inner: S,
    guessers: Option<Guessers>,
}

impl<S> WithSession<S> {
    pub(super) fn new(inner: S, guessers: Option<Guessers>) -> Self {
        Self { inner, guessers }
    }
}

impl<S, B, ResBody> Service<Request<B>> for WithSession<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = WithSessionFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let token = request.extensions_mut().remove::<SessionTokenOf>().map(|token| token.0);
        let counting = self.guessers.clone();
        let counting = counting.map(|guessers| (guessers, request.extensions().get().copied()));
        let verification = counting.as_ref().map(|_| RefCell::default());
        let served = Served { token, verification };
        let future = SERVED.scope(served, self.inner.call(request));
        WithSessionFuture { serving: future, counting, late: None }
    }
}

/// Response future of [`WithSession`].
#[pin_project]
pub struct WithSessionFuture<F, B> {
    #[pin]
    serving: TaskLocalFuture<Served, F>,
    /// What counts the guesses, and the address of the client.
    counting: Option<(Guessers, Option<ClientAddress>)>,
    /// The response, if it is late. The request is gone by then.
    late: Option<Box<Late<B>>>,
}

impl<F, B, E> Future for WithSessionFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(late) = this.late {
            return Pin::new(late).poll(cx).map(Ok);
        }
        let response = ready!(this.serving.as_mut().poll(cx))?;
        let Some((guessers, source)) = this.counting else { return Poll::Ready(Ok(response)) };
        let verification = this.serving.take_value().and_then(|served| served.verification);
        let guess = verification.and_then(|noted| noted.borrow().guess(response.status()));
        match guess.and_then(|guess| guessers.failed(*source, &guess)) {
            Some(pause) => {
                let late = this.late.insert(Box::new(pause.hold(response)));
                Pin::new(late).poll(cx).map(Ok)
            }
            None => Poll::Ready(Ok(response)),
        }
    }
}

impl<F, B> fmt::Debug for WithSessionFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithSessionFuture").finish_non_exhaustive()
    }
}
