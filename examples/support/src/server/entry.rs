//! Where requests enter: the health checks, the id, the log line and the span of each.

use std::{error::Error, net::SocketAddr, sync::Arc};

use http::{Request, Response};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use tower::{Service, ServiceExt};
use tower_credentials::{ClientTls, TrustedProxies};
use tracing::Instrument as _;

use super::{
    arrival,
    request_log::{self, Line, Sent},
    requests::Running,
};
use crate::health::Health;

/// The service behind the entry, and what the entry needs.
#[derive(Clone)]
pub(super) struct Entry<S> {
    pub(super) proxies: Arc<TrustedProxies>,
    pub(super) health: Health,
    pub(super) service: S,
}

impl<S, B> Entry<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) async fn serve(
        self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        encryption: ClientTls,
        running: Running,
    ) -> Result<Response<Sent<Either<Full<Bytes>, B>>>, S::Error> {
        let id = arrival::note(&mut request, peer, encryption, &self.proxies);
        let line = Line::new(&request, id.clone(), running);
        let mut response = if let Some(response) = self.health.answer_unsigned(&request).await {
            response.map(Either::Left)
        } else {
            let span = tracing::debug_span!(
                "request",
                method = request_log::method(request.method()),
                path = request_log::path(request.uri()),
                %id,
            );
            self.service.oneshot(request).instrument(span).await?.map(Either::Right)
        };
        arrival::identify(&mut response, &id);
        Ok(line.until_sent(response))
    }
}
