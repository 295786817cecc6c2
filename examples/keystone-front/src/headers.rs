//! Which headers cross the front: none that are about a connection, and for whom a
//! request is forwarded.
//!
//! Keystone makes links from `Host`, or where it is told to trust proxies
//! (`enable_proxy_headers_parsing`) from `Forwarded` or `X-Forwarded-*`. So that its
//! links name the front, `Host` stays the client's, and the others say the same.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header, request::Parts};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What clients could use to pass for somebody else, or for a proxy; beside these, all
/// that start with `x-forwarded-`.
const ABOUT_CLIENTS: [HeaderName; 2] = [header::FORWARDED, HeaderName::from_static("x-real-ip")];

/// Headers about a connection, beside those that `Connection` names.
const ABOUT_CONNECTIONS: [HeaderName; 9] = [
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

/// Drops what is about the connection that a message came on.
pub fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // These say where a message goes and where it ends, whatever a client names.
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect();
    // With both, the transfer coding is what counts.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in ABOUT_CONNECTIONS.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Makes a client's headers the ones that Keystone is to see.
///
/// A proxy in front of this one may have said for whom it asks; it is believed only
/// if it is `trusted`.
pub fn prepare(parts: &mut Parts, peer: Option<SocketAddr>, trusted: bool) {
    let headers = &mut parts.headers;
    drop_hop_by_hop(headers);
    if !headers.contains_key(header::HOST)
        && let Some(host) = host_of(&parts.uri)
    {
        headers.insert(header::HOST, host);
    }
    if parts.version == Version::HTTP_2 {
        join_cookies(headers);
    }
    // WSGI servers take `-` and `_` for the same, and `SCRIPT_NAME` for the start of the path.
    drop_if(headers, |name| name.as_str().contains('_'));
    if !trusted {
        drop_if(headers, |name| {
            name.as_str().starts_with("x-forwarded-") || ABOUT_CLIENTS.contains(name)
        });
    }
    let host = headers.get(header::HOST).cloned();
    // Elements of `Forwarded` are read from the left, so this one only completes them.
    if let (Some(peer), true) = (peer, headers.contains_key(header::FORWARDED)) {
        let node =
            if peer.is_ipv6() { format!("\"[{}]\"", peer.ip()) } else { peer.ip().to_string() };
        append(headers, &header::FORWARDED, &format!("for={node};proto=http"));
    }
    if let Some(peer) = peer {
        append(headers, &FOR, &plain(peer.ip()).to_string());
    }
    headers.entry(PROTO).or_insert(HeaderValue::from_static("http"));
    if let Some(host) = host {
        headers.entry(HOST).or_insert(host);
    }
}

fn drop_if(headers: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    let unwanted: Vec<_> = headers.keys().filter(|name| is_unwanted(name)).cloned().collect();
    for name in &unwanted {
        headers.remove(name);
    }
}

/// Adds to the list that a header is; Keystone reads one line of it.
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

/// HTTP/2 may cut cookies into several lines, HTTP/1.1 may not.
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// HTTP/2 has the host in the URI.
fn host_of(uri: &Uri) -> Option<HeaderValue> {
    HeaderValue::from_str(uri.authority()?.as_str()).ok()
}

/// An IPv4 address also where the socket speaks both.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
