//! Whether the server is alive.

use std::error::Error;

use http::{Method, Request, Response, header};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use tower::{Service, ServiceExt, service_fn, util::BoxCloneService};

type BoxError = Box<dyn Error + Send + Sync>;

/// What answers a health check with `ok` and has all else answered by a service.
pub type Checked<B> =
    BoxCloneService<Request<Incoming>, Response<Either<Full<Bytes>, B>>, BoxError>;

/// A service with a health check beside it: `GET /healthz`.
pub fn checked<S, B>(service: S) -> Checked<B>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: 'static,
{
    BoxCloneService::new(service_fn(move |request: Request<Incoming>| {
        let service = service.clone();
        async move {
            if is_check(&request) {
                return Ok(Response::new(Either::Left(Full::from("ok\n"))));
            }
            Ok(service.oneshot(request).await.map_err(Into::into)?.map(Either::Right))
        }
    }))
}

/// Whether it is by nobody in particular; a signed request is the bucket's.
fn is_check<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.uri().path() == "/healthz"
        && request.uri().query().is_none()
        && !request.headers().contains_key(header::AUTHORIZATION)
}
