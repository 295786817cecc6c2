//! Hands the session token of a request from the guard to `S3sAuth`, which `s3s` gives only the
//! access key.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use tokio::task::futures::TaskLocalFuture;
use tower::Service;

use crate::session::Presented;

tokio::task_local! {
    /// The session token of the request that is being served.
    static TOKEN: Option<Arc<str>>;
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
    let token = TOKEN.try_with(Clone::clone).ok().flatten()?;
    Presented::of(token.to_string(), access_key)
}

/// Serves each request with its session token at hand.
#[derive(Clone, Debug)]
pub struct WithSession<S>(pub(super) S);

impl<S, B> Service<Request<B>> for WithSession<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<Option<Arc<str>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let token = request.extensions_mut().remove::<SessionTokenOf>().map(|token| token.0);
        TOKEN.scope(token, self.0.call(request))
    }
}
