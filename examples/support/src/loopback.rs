//! Restricts credential requests with the public development tokens to loopback hosts.
//!
//! A web page can give its own host name the address 127.0.0.1 (DNS rebinding). The browser
//! then sends the page's requests to this server as same-origin requests. But their `Host` names
//! the page's host.

use std::{
    error::Error,
    net::{Ipv4Addr, Ipv6Addr},
};

use http::{HeaderValue, Request, Response, StatusCode, header, uri::Authority};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneService};
use tower_credentials::CredentialLayer;

const FORBIDDEN_BODY: &str = "{\"error\":{\"code\":403,\"title\":\"Forbidden\",\"message\":\
    \"The built-in development tokens work only for the hosts localhost, 127.0.0.1 and [::1]. \
    For other hosts start the server with tokens of your own: --identities FILE.\"}}\n";

type BoxError = Box<dyn Error + Send + Sync>;

/// Rejects requests for the paths of a [`CredentialLayer`] unless their host is a loopback host.
#[derive(Clone, Debug)]
pub struct LoopbackLayer {
    credentials: CredentialLayer,
    is_active: bool,
}

impl LoopbackLayer {
    /// An inactive layer passes all requests.
    pub fn new(credentials: &CredentialLayer, is_active: bool) -> Self {
        Self { credentials: credentials.clone(), is_active }
    }

    fn rejects<B>(&self, request: &Request<B>) -> bool {
        self.is_active && self.credentials.answers(request) && !is_for_loopback(request)
    }
}

impl<S, B> Layer<S> for LoopbackLayer
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: 'static,
{
    type Service = BoxCloneService<Request<Incoming>, Response<Either<Full<Bytes>, B>>, BoxError>;

    fn layer(&self, service: S) -> Self::Service {
        let this = self.clone();
        BoxCloneService::new(service_fn(move |request: Request<Incoming>| {
            let rejected = this.rejects(&request).then(forbidden);
            let service = service.clone();
            async move {
                if let Some(response) = rejected {
                    return Ok(response.map(Either::Left));
                }
                Ok(service.oneshot(request).await.map_err(Into::into)?.map(Either::Right))
            }
        }))
    }
}

fn is_for_loopback<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let authority = match (request.uri().authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => None,
        (Some(authority), _, None) => Some(authority.clone()),
        (None, host, None) => host.and_then(|host| Authority::try_from(host.as_bytes()).ok()),
    };
    authority.is_some_and(|authority| is_loopback(authority.host()))
}

fn is_loopback(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn forbidden() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(FORBIDDEN_BODY));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
