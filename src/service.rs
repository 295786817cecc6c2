//! [`CredentialService`]: responds to credential requests, and passes on all others.

use std::{
    error::Error as StdError,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower::Service;

use crate::{
    body::ResponseBody,
    dialect::Routed,
    future::ResponseFuture,
    shared::{Shared, to_options},
};

/// Responds to credential requests, and passes every other request to the inner service.
///
/// [`CredentialLayer`](crate::CredentialLayer) creates it; see the [crate docs](crate) for
/// an example. Readiness is the inner service's: behind a limiter, a credential request
/// waits its turn like any other request.
#[derive(Clone, Debug)]
pub struct CredentialService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> CredentialService<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

inner_service!(CredentialService);

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for CredentialService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: Body + Send + 'static,
    ReqBody::Data: Send,
    ReqBody::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (frame, operation) = match self.shared.route(&request) {
            Routed::NotOurs => return ResponseFuture::inner(self.inner.call(request)),
            Routed::Options(allow) => {
                let response = to_options(allow, &request);
                return ResponseFuture::own(Box::pin(async move { response.into() }));
            }
            Routed::Query(route) => {
                let shared = Arc::clone(&self.shared);
                return ResponseFuture::own(Box::pin(async move {
                    shared.respond_to_query(route, request).await
                }));
            }
            Routed::Ours(frame, operation) => (frame, operation),
        };
        let shared = Arc::clone(&self.shared);
        ResponseFuture::own(Box::pin(
            async move { shared.respond(&frame, operation, request).await },
        ))
    }
}
