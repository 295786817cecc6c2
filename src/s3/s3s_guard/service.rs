//! [`S3sGuardService`]: check a request, or refuse it.

use std::{
    error::Error as StdError,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use super::guard::{Decision, Guard};
use crate::{
    body::ResponseBody,
    s3::{
        body::VerifiedBody,
        future::{ResponseFuture, take_ready},
        refusal::Asked,
    },
    signature::request::RequestHead,
};

/// Checks requests before an `s3s` service sees them.
///
/// Made by [`S3sGuardLayer`](super::S3sGuardLayer). Readiness is the inner service's.
#[derive(Clone, Debug)]
pub struct S3sGuardService<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S> S3sGuardService<S> {
    pub(super) fn new(inner: S, guard: Arc<Guard>) -> Self {
        Self { inner, guard }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for S3sGuardService<S>
where
    S: Service<Request<VerifiedBody<ReqBody>>, Response = Response<ResBody>> + Clone,
    ReqBody: Body<Data = Bytes> + Send + 'static,
    ReqBody::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match self.guard.decide(RequestHead::from(&request)) {
            Ok(Decision::Pass) => {
                ResponseFuture::calling(&mut self.inner, request.map(VerifiedBody::plain))
            }
            Ok(Decision::Form) => {
                let guard = Arc::clone(&self.guard);
                let asking = Box::pin(async move {
                    let asked = Asked::of(&request);
                    guard.rewrite(request).await.map_err(|refusal| refusal.render(&asked))
                });
                ResponseFuture::asking(asking, take_ready(&mut self.inner))
            }
            Err(refusal) => ResponseFuture::refused(refusal.render(&Asked::of(&request))),
        }
    }
}
