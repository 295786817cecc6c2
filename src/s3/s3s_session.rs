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

use http::{Request, Response, StatusCode};
use pin_project::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tower::Service;

use super::{
    counting::{Presented as Claimed, Verifications},
    verification::Verification,
};
use crate::{
    guessers::{Guessers, Late, Pause},
    origin::ClientAddress,
    session::Presented,
    signature::{form::PostForm, request::RequestHead},
};

tokio::task_local! {
    /// The request that is being served.
    static SERVED: Served;
}

/// What the guard and the parts of an `s3s` service exchange about a request.
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
    verifications: Arc<Verifications>,
}

impl<S> WithSession<S> {
    pub(super) fn new(
        inner: S,
        guessers: Option<Guessers>,
        verifications: Arc<Verifications>,
    ) -> Self {
        Self { inner, guessers, verifications }
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
        let counting = (self.guessers.is_some() || cfg!(feature = "metrics")).then(|| Counting {
            guessers: self.guessers.clone(),
            source: request.extensions().get().copied(),
            presented: presented_by(&self.verifications, &request),
            verifications: Arc::clone(&self.verifications),
        });
        let verification = counting.as_ref().map(|_| RefCell::default());
        let served = Served { token, verification };
        let future = SERVED.scope(served, self.inner.call(request));
        WithSessionFuture { serving: future, counting, late: None }
    }
}

/// What counts the verification of a request, and the guesses.
struct Counting {
    guessers: Option<Guessers>,
    source: Option<ClientAddress>,
    presented: Claimed,
    verifications: Arc<Verifications>,
}

impl Counting {
    /// Counts a request, and returns how long its response must wait.
    fn pause(&self, verification: &Verification, status: StatusCode) -> Option<Pause> {
        self.verifications.count_as(self.presented, verification.result(status));
        let (guessers, guess) = self.guessers.as_ref().zip(verification.guess(status))?;
        guessers.failed(self.source, &guess)
    }
}

/// Returns how a request seems to be signed. The guard has read the fields of a form.
fn presented_by<B>(counts: &Verifications, request: &Request<B>) -> Claimed {
    if request.extensions().get::<PostForm>().is_some() {
        counts.form()
    } else {
        counts.presented(RequestHead::from(request))
    }
}

/// Response future of [`WithSession`].
#[pin_project]
pub struct WithSessionFuture<F, B> {
    #[pin]
    serving: TaskLocalFuture<Served, F>,
    /// What counts the verification, and the guesses.
    counting: Option<Counting>,
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
        let Some(counting) = this.counting else { return Poll::Ready(Ok(response)) };
        let noted = this.serving.take_value().and_then(|served| served.verification);
        match noted.and_then(|noted| counting.pause(&noted.into_inner(), response.status())) {
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
