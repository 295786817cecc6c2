//! What a server adds to a request: the addresses, the encryption and the id.

use std::net::SocketAddr;

use http::{HeaderName, HeaderValue, Request, Response};
use tower_credentials::{ClientAddress, ClientTls, RequestId, TrustedProxies};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Inserts what the server knows into the extensions of a request. Returns the id of the request.
///
/// A trusted proxy reports the address of the client and the id. Headers of others count for
/// nothing.
pub(super) fn note<B>(
    request: &mut Request<B>,
    peer: SocketAddr,
    encryption: ClientTls,
    proxies: &TrustedProxies,
) -> RequestId {
    let source = proxies.source(peer.ip(), request.headers());
    let id = if proxies.contains(peer.ip().to_canonical()) { reported(request) } else { None };
    let id = id.unwrap_or_else(RequestId::random);
    let extensions = request.extensions_mut();
    extensions.insert::<SocketAddr>(peer);
    extensions.insert(encryption);
    extensions.insert(id.clone());
    if let Some(source) = source {
        extensions.insert(ClientAddress(source));
    }
    id
}

/// Adds the id of the request to its response.
pub(super) fn identify<B>(response: &mut Response<B>, id: &RequestId) {
    let value = HeaderValue::from_str(id.as_str());
    response.headers_mut().insert(X_REQUEST_ID, value.expect("an id is valid in a header"));
}

/// The id that the request has, if it has only one.
fn reported<B>(request: &Request<B>) -> Option<RequestId> {
    let mut values = request.headers().get_all(X_REQUEST_ID).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    RequestId::parse(value.to_str().ok()?)
}
