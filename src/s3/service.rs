//! [`S3AuthService`]: verify a request, or refuse it.

use std::{
    error::Error as StdError,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use super::{
    admission,
    body::VerifiedBody,
    future::{ResponseFuture, take_ready},
    refusal::Asked,
    upload,
    verifier::{Decision, Verifier},
};
use crate::{body::ResponseBody, signature::request::RequestHead};

/// Verifies requests before the inner service sees them.
///
/// Made by [`S3AuthLayer`](super::S3AuthLayer); see the [module's
/// documentation](super) for an example. Readiness is the inner service's: behind a
/// limiter a request waits its turn before it is verified.
#[derive(Clone, Debug)]
pub struct S3AuthService<S> {
    inner: S,
    verifier: Arc<Verifier>,
}

impl<S> S3AuthService<S> {
    pub(super) fn new(inner: S, verifier: Arc<Verifier>) -> Self {
        Self { inner, verifier }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for S3AuthService<S>
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
        let now = self.verifier.clock.now();
        let decided = self.verifier.decide(RequestHead::from(&request), now);
        match decided {
            Ok(Decision::Admit(proven)) => match admission::admit(request, proven) {
                Ok(request) => ResponseFuture::calling(&mut self.inner, request),
                Err(answer) => ResponseFuture::refused(answer),
            },
            Ok(Decision::Ask) => {
                let verifier = Arc::clone(&self.verifier);
                let asking = Box::pin(async move {
                    match verifier.ask(RequestHead::from(&request), now).await {
                        Ok(proven) => admission::admit(request, proven),
                        Err(refusal) => Err(refusal.render(&Asked::of(&request))),
                    }
                });
                ResponseFuture::asking(asking, take_ready(&mut self.inner))
            }
            Ok(Decision::AskOwner(proven)) => {
                let verifier = Arc::clone(&self.verifier);
                let asking = Box::pin(async move {
                    match verifier.ask_owner(proven, now).await {
                        Ok(proven) => admission::admit(request, proven),
                        Err(refusal) => Err(refusal.render(&Asked::of(&request))),
                    }
                });
                ResponseFuture::asking(asking, take_ready(&mut self.inner))
            }
            Ok(Decision::Form) => {
                let verifier = Arc::clone(&self.verifier);
                let asking = Box::pin(async move {
                    let asked = Asked::of(&request);
                    let admitted = upload::admit(&verifier, request).await;
                    admitted.map_err(|refusal| refusal.render(&asked))
                });
                ResponseFuture::asking(asking, take_ready(&mut self.inner))
            }
            Ok(Decision::Pass) => match admission::pass(request) {
                Ok(request) => ResponseFuture::calling(&mut self.inner, request),
                Err(answer) => ResponseFuture::refused(answer),
            },
            Err(refusal) => ResponseFuture::refused(refusal.render(&Asked::of(&request))),
        }
    }
}
