//! [`Shared`]: what all services of a layer share, and what they do with a request.

use std::{error::Error as StdError, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::Body;
use http_body_util::Full;

use crate::{
    audit::{AuditAction, AuditError, AuditTarget, RequestFacts},
    auth::{AuthError, Presented, TokenValidator, presented},
    authority::{Authority, Requester},
    dialect::{
        self, Dialect, Frame, Initials, Operation, RenderContext, Routed, Served, Task, query_api,
    },
    domain::Caller,
    error::{Error, ErrorKind},
    guessers::{Guess, Guessers, Held},
    log,
    meter::Requests,
    origin::{ClientAddress, Host, Origins, RequestId},
    read,
    route::Route,
    wires::{BodyLimits, Wires},
};

/// What all services of a layer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) authority: Authority,
    pub(crate) validator: Arc<dyn TokenValidator>,
    pub(crate) dialects: Vec<(Dialect, String)>,
    /// Of the prefixes of the dialects.
    pub(crate) initials: Initials,
    pub(crate) hosts: Vec<Host<'static>>,
    pub(crate) origins: Origins,
    pub(crate) base_url: Option<String>,
    pub(crate) trust_forwarded: bool,
    pub(crate) served: Served,
    pub(crate) wires: Option<Wires>,
    pub(crate) body_limits: BodyLimits,
    /// Without it, failures are not counted.
    pub(crate) guessers: Option<Guessers>,
    pub(crate) requests: Requests,
}

/// What is known of a request when it is refused, for the audit.
#[derive(Default)]
struct Known {
    requester: Option<Requester>,
    subject: Option<(AuditAction, AuditTarget)>,
}

impl Shared {
    /// Routes a request by its path as written. Allocates nothing for requests that are
    /// not ours.
    //
    // Inlined, so that most requests of the app cost no call.
    #[inline]
    pub(crate) fn route<B>(&self, request: &Request<B>) -> Routed<Frame, Operation> {
        if self.initials.admit(request.uri().path()) {
            self.route_by_prefix(request)
        } else {
            Routed::NotOurs
        }
    }

    fn route_by_prefix<B>(&self, request: &Request<B>) -> Routed<Frame, Operation> {
        let path = request.uri().path();
        if let Some(wires) = &self.wires
            && (wires.has_host() || self.answers_for(request))
            && let Some(route) = wires.route(request)
            && (route != query_api::Route::Unsigned || !presented::is_signed_for_s3(request))
        {
            return Routed::Query(route);
        }
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

    /// Returns whether a page of another origin asks for a change.
    fn is_foreign(&self, head: &Parts) -> bool {
        let changes =
            matches!(head.method, Method::DELETE | Method::PATCH | Method::POST | Method::PUT);
        changes && !self.origins.admit(&head.uri, &head.headers)
    }

    /// The response to a request that is ours.
    pub(crate) async fn respond<B>(
        &self,
        frame: &Frame,
        operation: Result<Operation, Error>,
        request: Request<B>,
    ) -> Held<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let began = self.requests.begin();
        let endpoint = operation.as_ref().map_or_else(|_| frame.endpoint(), Operation::endpoint);
        let (head, body) = request.into_parts();
        let mut known = Known::default();
        let result = match operation {
            _ if self.is_foreign(&head) => Err(Error::foreign_origin()),
            Ok(operation) => self.handle(frame, &operation, &head, body, &mut known).await,
            Err(error) => Err(error),
        };
        let mut guess = None;
        let response = result.unwrap_or_else(|mut error| {
            if let Known { requester: Some(requester), subject: Some(subject) } = known {
                self.authority.record_refusal(&requester, subject, &error);
            }
            guess = error.take_guess();
            self.refuse(frame, &head, error)
        });
        self.requests.end(&began, endpoint, response.status());
        let response = own(frame.with_id(response, head.extensions.get()), Route::of(endpoint));
        self.held(response, guess, head.extensions.get())
    }

    /// The response to a request of the AWS wires.
    pub(crate) async fn respond_to_query<B>(
        &self,
        route: query_api::Route,
        request: Request<B>,
    ) -> Held<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let began = self.requests.begin();
        // Only wires route requests here.
        let wires = self.wires.as_ref().expect("the request was routed to the wires");
        let source = request.extensions().get().copied();
        let (endpoint, response, guess) =
            wires.respond(&self.authority, self.body_limits, route, request).await;
        self.requests.end(&began, endpoint, response.status());
        self.held(own(response, Route::of(endpoint)), guess, source.as_ref())
    }

    /// Counts a failure, and returns how long its response must wait.
    fn held(
        &self,
        response: Response<Full<Bytes>>,
        guess: Option<Guess>,
        source: Option<&ClientAddress>,
    ) -> Held<Full<Bytes>> {
        let failure = self.guessers.as_ref().zip(guess);
        let pause = failure.and_then(|(guessers, guess)| guessers.failed(source.copied(), &guess));
        Held { response, pause }
    }

    async fn handle<B>(
        &self,
        frame: &Frame,
        operation: &Operation,
        head: &Parts,
        body: B,
        known: &mut Known,
    ) -> Result<Response<Full<Bytes>>, Error>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let presented = presented::presented(&head.headers).ok_or_else(Error::unauthenticated)?;
        // Not through the pointer, whose own implementation would box it twice.
        let validated = (*self.validator).validate(&presented).await;
        let caller = validated.map_err(|error| self.unauthenticated(&presented, error))?;
        self.check_expiry(&caller)?;
        let facts = RequestFacts::of(&head.extensions);
        let caller = &*known.requester.insert(Requester::new(caller, facts));
        known.subject = operation.change().map(|action| (action, AuditTarget::default()));
        // A browser sends Basic credentials that it remembers with any form of any page,
        // but no form has one of these types.
        if matches!(presented, Presented::Basic { .. })
            && matches!(head.method, Method::PATCH | Method::POST | Method::PUT)
        {
            frame.check_content_type(&head.headers)?;
        }
        let body = if operation.takes_body() {
            let body = read::body(body, self.body_limits.bytes, self.body_limits.time).await?;
            // The token may have expired while the body arrived.
            self.check_expiry(caller)?;
            body
        } else {
            Bytes::new()
        };
        Ok(match operation.parse(head, &body)? {
            Task::Run(command) => {
                known.subject = command.subject();
                let outcome = self.authority.run(caller, command).await?;
                frame.outcome(&outcome, &self.context(head))
            }
            Task::Verify(command) => {
                dialect::verified(&self.authority.verify(caller, command).await?)
            }
        })
    }

    fn unauthenticated(&self, presented: &Presented, error: AuthError) -> Error {
        let is_counted = self.guessers.is_some() && matches!(error, AuthError::Invalid);
        let guess = is_counted.then(|| match presented {
            Presented::Basic { username, .. } => Guess::user(username),
            Presented::Token(token) => Guess::token(token.expose()),
        });
        Error::from(error).with_guess(guess)
    }

    fn check_expiry(&self, caller: &Caller) -> Result<(), Error> {
        let is_over = caller.expires_at.is_some_and(|end| end <= self.authority.clock.now());
        if is_over { Err(Error::unauthenticated()) } else { Ok(()) }
    }

    /// Renders a refusal or failure, logs a failure, and keeps the cause for outer layers.
    fn refuse(&self, frame: &Frame, head: &Parts, error: Error) -> Response<Full<Bytes>> {
        let mut response = frame.error(&error, &self.context(head));
        if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable) {
            let is_logged = error.source().is_some_and(<dyn StdError>::is::<AuditError>);
            if !is_logged {
                let (reason, cause) = (log::cause(&error), error.source().and_then(log::cause));
                tracing::error!(error = reason, cause, "credential request failed");
            }
        }
        response.extensions_mut().insert(Arc::new(error));
        response
    }

    fn context<'a>(&'a self, head: &'a Parts) -> RenderContext<'a> {
        let (base_url, trust_forwarded) = (self.base_url.as_deref(), self.trust_forwarded);
        RenderContext { now: self.authority.clock.now(), head, base_url, trust_forwarded }
    }
}

/// The response to `OPTIONS` on a path with these methods.
pub(crate) fn to_options<B>(allow: &'static str, request: &Request<B>) -> Response<Full<Bytes>> {
    let id = request.extensions().get::<RequestId>();
    own(dialect::options(allow, id), Route::OPTIONS)
}

/// Completes a response of the layer. Forbids caches to store it, because it may hold a secret.
fn own(mut response: Response<Full<Bytes>>, route: Route) -> Response<Full<Bytes>> {
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response.extensions_mut().insert(route);
    response
}
