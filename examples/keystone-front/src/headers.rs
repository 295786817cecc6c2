//! Removes hop-by-hop headers, and sets the `Forwarded` headers.
//!
//! Keystone builds links from `Host`. If it trusts proxies (`enable_proxy_headers_parsing`), it
//! uses `Forwarded` or `X-Forwarded-*`. Its links must name the front. So the client's `Host` is
//! kept, and the other headers agree with it.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header, request::Parts};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers with which a client could pose as another client or as a proxy. So can all headers that
/// start with `x-forwarded-`.
const CLIENT_IDENTITY: [HeaderName; 2] = [header::FORWARDED, HeaderName::from_static("x-real-ip")];

/// Hop-by-hop headers. `Connection` may name more.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes hop-by-hop headers.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // A client must not remove these: they determine where a message goes and where it ends.
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect();
    // `Transfer-Encoding` overrides `Content-Length`.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// The client of the front, as its connection shows it.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: Option<SocketAddr>,
    pub scheme: &'static str,
}

/// Prepares the headers of a request for Keystone.
///
/// Keeps the `Forwarded` headers of a proxy in front of this one if it is `trusted`.
pub fn prepare(parts: &mut Parts, Peer { address, scheme }: Peer, trusted: bool) {
    let headers = &mut parts.headers;
    remove_hop_by_hop(headers);
    if !headers.contains_key(header::HOST)
        && let Some(host) = host_of(&parts.uri)
    {
        headers.insert(header::HOST, host);
    }
    if parts.version == Version::HTTP_2 {
        join_cookies(headers);
    }
    // WSGI servers do not distinguish `-` and `_`, and use `SCRIPT_NAME` as the start of the path.
    remove_if(headers, |name| name.as_str().contains('_'));
    if !trusted {
        remove_if(headers, |name| {
            name.as_str().starts_with("x-forwarded-") || CLIENT_IDENTITY.contains(name)
        });
    }
    let host = headers.get(header::HOST).cloned();
    // Keystone reads the elements of `Forwarded` from the left, so this one changes nothing before
    // it.
    if let (Some(peer), true) = (address, headers.contains_key(header::FORWARDED)) {
        let node =
            if peer.is_ipv6() { format!("\"[{}]\"", peer.ip()) } else { peer.ip().to_string() };
        append(headers, &header::FORWARDED, &format!("for={node};proto={scheme}"));
    }
    if let Some(peer) = address {
        append(headers, &FOR, &peer.ip().to_canonical().to_string());
    }
    headers.entry(PROTO).or_insert(HeaderValue::from_static(scheme));
    if let Some(host) = host {
        headers.entry(HOST).or_insert(host);
    }
}

fn remove_if(headers: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    let unwanted: Vec<_> = headers.keys().filter(|name| is_unwanted(name)).cloned().collect();
    for name in &unwanted {
        headers.remove(name);
    }
}

/// Appends to a list header, and joins its lines: Keystone reads only one.
fn append(headers: &mut HeaderMap, name: &HeaderName, new: &str) {
    let mut list: Vec<u8> = Vec::new();
    for value in headers.get_all(name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(new.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name, value);
    }
}

/// Joins the cookies: HTTP/2 may split them into several lines, HTTP/1.1 may not.
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// The host of an HTTP/2 request is in its URI.
fn host_of(uri: &Uri) -> Option<HeaderValue> {
    HeaderValue::from_str(uri.authority()?.as_str()).ok()
}
