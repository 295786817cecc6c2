//! [`S3AuthService`]: verifies a request, or refuses it.

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
    enforcement::Reading,
    future::{ResponseFuture, take_ready},
    guesses::Refuser,
    refusal::Refusal,
    upload,
    verifier::{Decision, Verifier},
};
use crate::{body::ResponseBody, signature::request::RequestHead};

/// Verifies requests before the inner service sees them.
///
/// Created by [`S3AuthLayer`](super::S3AuthLayer). See the [module's documentation](super) for
/// an example. The service is ready when the inner service is: in front of a limiter, a request
/// waits before it is verified.
#[derive(Clone, Debug)]
pub struct S3AuthService<S> {
    inner: S,
    verifier: Arc<Verifier>,
}

impl<S> S3AuthService<S> {
    pub(super) fn new(inner: S, verifier: Arc<Verifier>) -> Self {
        Self { inner, verifier }
    }

    /// Counts and renders a refusal that needs no wait.
    fn refuse<B>(&self, refusal: &Refusal, request: &Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<VerifiedBody<B>>>,
        B: Body<Data = Bytes>,
    {
        self.verifier.verifications.refused(RequestHead::from(request), refusal.code);
        ResponseFuture::refused(self.verifier.refuse(refusal, &Refuser::of(request)))
    }
}

inner_service!(S3AuthService);

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
        let counts = &self.verifier.verifications;
        match self.verifier.decide(RequestHead::from(&request), now) {
            Ok(Decision::Admit(valid)) => match self.verifier.read(&request, &valid, now) {
                Ok(Some(Reading::Body(boundaries, operation))) => {
                    let presented = counts.presented(RequestHead::from(&request));
                    let verifier = Arc::clone(&self.verifier);
                    let admitted = Box::pin(async move {
                        let admitted =
                            verifier.admit_deletion(request, valid, &boundaries, operation).await;
                        verifier.verifications.decided(presented, &admitted);
                        admitted
                    });
                    ResponseFuture::deciding(admitted, take_ready(&mut self.inner))
                }
                Ok(reading) => {
                    let mechanism = valid.key.mechanism();
                    let admitted = admission::admit(request, valid, reading);
                    counts.admitted(mechanism, &admitted);
                    ResponseFuture::decided(&mut self.inner, admitted)
                }
                Err(refusal) => self.refuse(&refusal, &request),
            },
            Ok(Decision::LookUp(signed)) => {
                let presented = counts.presented(RequestHead::from(&request));
                let verifier = Arc::clone(&self.verifier);
                let admitted = Box::pin(async move {
                    let admitted =
                        match verifier.look_up(RequestHead::from(&request), signed, now).await {
                            Ok(valid) => verifier.admit(request, valid, now).await,
                            Err(refusal) => Err(verifier.refuse(&refusal, &Refuser::of(&request))),
                        };
                    verifier.verifications.decided(presented, &admitted);
                    admitted
                });
                ResponseFuture::deciding(admitted, take_ready(&mut self.inner))
            }
            Ok(Decision::CheckOwner(valid)) => {
                let presented = counts.presented(RequestHead::from(&request));
                let verifier = Arc::clone(&self.verifier);
                let admitted = Box::pin(async move {
                    let admitted = match verifier.check_owner_of(valid, now).await {
                        Ok(valid) => verifier.admit(request, valid, now).await,
                        Err(refusal) => Err(verifier.refuse(&refusal, &Refuser::of(&request))),
                    };
                    verifier.verifications.decided(presented, &admitted);
                    admitted
                });
                ResponseFuture::deciding(admitted, take_ready(&mut self.inner))
            }
            Ok(Decision::Unsigned) if upload::is_upload(RequestHead::from(&request)) => {
                let presented = counts.form();
                let verifier = Arc::clone(&self.verifier);
                let admitted = Box::pin(async move {
                    let refuser = Refuser::of(&request);
                    let admitted = upload::admit(&verifier, request).await;
                    let admitted = admitted.map_err(|refusal| verifier.refuse(&refusal, &refuser));
                    verifier.verifications.decided(presented, &admitted);
                    admitted
                });
                ResponseFuture::deciding(admitted, take_ready(&mut self.inner))
            }
            Ok(Decision::Unsigned) => match self.verifier.check_unsigned(&request) {
                Ok(()) => {
                    let presented = counts.presented(RequestHead::from(&request));
                    let admitted = admission::pass(request);
                    counts.decided(presented, &admitted);
                    ResponseFuture::decided(&mut self.inner, admitted)
                }
                Err(refusal) => self.refuse(&refusal, &request),
            },
            Err(refusal) => self.refuse(&refusal, &request),
        }
    }
}
