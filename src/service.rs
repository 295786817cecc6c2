//! [`CredentialService`]: route a request, or pass it on.

use std::{
    error::Error as StdError,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::Body;
use http_body_util::Full;
use tower::Service;

use crate::{
    auth::{Presented, presented},
    authority::Outcome,
    body::ResponseBody,
    dialect::{Exchange, Moment, Routed},
    domain::Caller,
    error::{Error, ErrorKind},
    future::ResponseFuture,
    layer::App,
    log,
    origin::Host,
    read,
};

/// Answers credential requests and passes every other one to the inner service.
///
/// Made by [`CredentialLayer`](crate::CredentialLayer); see the [crate docs](crate)
/// for an example. Readiness is the inner service's: behind a limiter a
/// credential request waits its turn like any other.
#[derive(Clone, Debug)]
pub struct CredentialService<S> {
    inner: S,
    app: Arc<App>,
}

impl<S> CredentialService<S> {
    pub(crate) fn new(inner: S, app: Arc<App>) -> Self {
        Self { inner, app }
    }
}

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
        let (exchange, refusal) = match self.app.route(&request) {
            Routed::Matched(exchange) => (exchange, None),
            Routed::NotOurs => return ResponseFuture::inner(self.inner.call(request)),
            Routed::Options(exchange) => {
                return ResponseFuture::own(Box::pin(async move { private(exchange.options()) }));
            }
            Routed::Refused(exchange, error) => (exchange, Some(error)),
        };
        let app = Arc::clone(&self.app);
        ResponseFuture::own(Box::pin(async move {
            let (head, body) = request.into_parts();
            let result = match refusal {
                _ if app.is_foreign(&head) => Err(Error::foreign_origin()),
                Some(error) => Err(error),
                None => app.handle(&exchange, &head, body).await,
            };
            app.respond(&exchange, &head, result)
        }))
    }
}

impl App {
    /// Whose request it is. Sync, on the path as written, without allocation
    /// for requests that are not ours.
    fn route<B>(&self, request: &Request<B>) -> Routed<Exchange> {
        let path = request.uri().path();
        for (dialect, prefix) in &self.dialects {
            if !path.starts_with(prefix) {
                continue;
            }
            // A bucket may be called `credentials`: a signed request is the store's.
            if presented::is_signed_for_s3(request) || !self.answers_for(request) {
                return Routed::NotOurs;
            }
            let routed = dialect.route(prefix, request.method(), path, self.served);
            if !matches!(routed, Routed::NotOurs) {
                return routed;
            }
        }
        Routed::NotOurs
    }

    pub(crate) fn is_ours<B>(&self, request: &Request<B>) -> bool {
        !matches!(self.route(request), Routed::NotOurs)
    }

    fn answers_for<B>(&self, request: &Request<B>) -> bool {
        if self.hosts.is_empty() {
            return true;
        }
        let host = Host::of(request.uri(), request.headers());
        host.is_some_and(|host| self.hosts.iter().any(|known| known.covers(&host)))
    }

    /// Whether a page of another origin asks for a change.
    fn is_foreign(&self, head: &Parts) -> bool {
        let changes =
            matches!(head.method, Method::DELETE | Method::PATCH | Method::POST | Method::PUT);
        changes && !self.origins.admit(&head.uri, &head.headers)
    }

    async fn handle<B>(&self, exchange: &Exchange, head: &Parts, body: B) -> Result<Outcome, Error>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let presented = presented::presented(&head.headers).ok_or_else(Error::unauthenticated)?;
        // Not through the pointer, whose own implementation would box it twice.
        let caller = (*self.validator).validate(&presented).await?;
        self.check_expiry(&caller)?;
        // A browser sends Basic credentials that it remembers with any form of any page,
        // but no form has one of these types.
        if matches!(presented, Presented::Basic { .. })
            && matches!(head.method, Method::PATCH | Method::POST | Method::PUT)
        {
            exchange.check_content_type(&head.headers)?;
        }
        let body = if exchange.takes_body() {
            let body = read::body(body, self.body_limit, self.body_timeout).await?;
            // The token may have expired while the body arrived.
            self.check_expiry(&caller)?;
            body
        } else {
            Bytes::new()
        };
        let command = exchange.parse(head, &body)?;
        self.authority.run(&caller, command).await
    }

    fn check_expiry(&self, caller: &Caller) -> Result<(), Error> {
        let is_over = caller.expires_at.is_some_and(|end| end <= self.authority.clock.now());
        if is_over { Err(Error::unauthenticated()) } else { Ok(()) }
    }

    fn respond(
        &self,
        exchange: &Exchange,
        head: &Parts,
        result: Result<Outcome, Error>,
    ) -> Response<Full<Bytes>> {
        let now = self.authority.clock.now();
        let (base_url, trust_forwarded) = (self.base_url.as_deref(), self.trust_forwarded);
        let moment = Moment { now, head, base_url, trust_forwarded };
        let mut response = private(exchange.render(result.as_ref(), &moment));
        if let Err(error) = result {
            if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable) {
                let source = log::cause(&error);
                let cause = error.source().and_then(log::cause);
                tracing::error!(source, cause, "credential request failed");
            }
            response.extensions_mut().insert(Arc::new(error));
        }
        response
    }
}

/// Forbids caches to store a response, which may hold a secret.
fn private(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}
