//! [`TrustedProxies`]: the client's address behind proxies.

use std::{
    error::Error as StdError,
    fmt,
    net::{IpAddr, SocketAddr},
};

use http::HeaderMap;

use crate::network::Network;

const FORWARDED: &str = "forwarded";
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks of the proxies whose forwarding headers count.
///
/// Each proxy appends the address of its own client to `Forwarded` (RFC 7239) or to
/// `X-Forwarded-For`. The rightmost address that is not a trusted proxy's is the client's. What is
/// further left may be forged.
///
/// ```
/// use std::net::IpAddr;
///
/// use http::{HeaderMap, HeaderValue};
/// use tower_credentials::TrustedProxies;
///
/// let proxies = TrustedProxies::new(["10.0.0.0/8"])?;
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", HeaderValue::from_static("198.51.100.1, 203.0.113.7"));
/// let client: IpAddr = "203.0.113.7".parse()?;
/// assert_eq!(proxies.source("10.1.2.3".parse()?, &headers), Some(client));
/// // A client that is not a trusted proxy reports no address but its own.
/// assert_eq!(proxies.source(client, &headers), Some(client));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    /// `None`: both, which must not differ.
    header: Option<ForwardedHeader>,
}

/// A header in which proxies report the addresses of their clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardedHeader {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// A text that is not a network of IP addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork(String);

impl TrustedProxies {
    /// Trusts the proxies in these networks: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
    ///
    /// # Errors
    ///
    /// [`InvalidNetwork`] if a text is not a network.
    pub fn new<I>(networks: I) -> Result<Self, InvalidNetwork>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let parse = |text: I::Item| {
            let text = text.as_ref();
            Network::parse(text).ok_or_else(|| InvalidNetwork(text.to_owned()))
        };
        let networks = networks.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { networks, header: None })
    }

    /// Reads this header only: the one that the proxies set. Default: both, which must not differ.
    ///
    /// Without it, a client can hide its address: it sends the header that the proxies pass on.
    #[must_use]
    pub fn header(mut self, header: ForwardedHeader) -> Self {
        self.header = Some(header);
        self
    }

    /// Returns whether this is the address of a trusted proxy.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// Returns the address of the client, whose connection or proxy has the address `peer`.
    ///
    /// `None` if a trusted proxy does not report it: the rightmost entry that is not a trusted
    /// proxy's is not an address (`unknown`, or an obfuscated identifier), or the request has both
    /// headers and they differ, so that a client may have sent one of them. Treat such a client as
    /// unknown: `peer` is the address of the proxy.
    #[must_use]
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return Some(peer);
        }
        let readers = [
            (ForwardedHeader::Forwarded, FORWARDED, forwarded_for as fn(&str) -> Option<&str>),
            (ForwardedHeader::XForwardedFor, X_FORWARDED_FOR, |entry| Some(entry)),
        ];
        let mut sources = readers
            .into_iter()
            .filter(|(header, name, _)| {
                self.header.is_none_or(|read| read == *header) && headers.contains_key(*name)
            })
            .map(|(_, name, read)| self.rightmost(peer, headers, name, read));
        let first = sources.next().unwrap_or(Some(peer))?;
        sources.all(|other| other == Some(first)).then_some(first)
    }

    /// Returns the rightmost address that is not a trusted proxy's, or the leftmost address if all
    /// are. `None` if an entry that is reached is not an address.
    fn rightmost(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        name: &str,
        read: fn(&str) -> Option<&str>,
    ) -> Option<IpAddr> {
        let mut source = peer;
        // A later line of a header continues the list.
        for line in headers.get_all(name).iter().rev() {
            for entry in line.to_str().ok()?.rsplit(',') {
                source = address(read(entry.trim())?)?;
                if !self.contains(source) {
                    return Some(source);
                }
            }
        }
        Some(source)
    }
}

/// Returns the value of `for` in an element of `Forwarded`. Quoted strings of addresses have no
/// commas, semicolons or escapes, so that others are not addresses.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut values = element.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"'),
        None => Some(value),
    }
}

/// Parses an address, with or without a port. An IPv6 address may have brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an address or a network such as 10.0.0.0/8: {:?}", self.0)
    }
}

impl StdError for InvalidNetwork {}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn source(peer: &str, lines: &[(&'static str, &'static str)]) -> Option<String> {
        let proxies = TrustedProxies::new(["10.0.0.0/8", "fd00::/8"]).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        proxies.source(peer.parse().unwrap(), &headers).map(|source| source.to_string())
    }

    #[test]
    fn forged_headers_of_an_untrusted_peer_count_for_nothing() {
        let forged = [("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(source("203.0.113.7", &forged).unwrap(), "203.0.113.7");
        assert_eq!(source("::ffff:203.0.113.7", &forged).unwrap(), "203.0.113.7");
        let nobody = TrustedProxies::default();
        assert!(!nobody.contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn rightmost_address_that_is_not_a_proxys_is_the_source() {
        for (value, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
            ("198.51.100.1,203.0.113.7 , 10.0.0.2,10.0.0.3", "203.0.113.7"),
            ("unknown, junk, 203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("2001:db8::7, fd00::2", "2001:db8::7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ] {
            assert_eq!(source("10.0.0.1", &[("x-forwarded-for", value)]).unwrap(), expected);
        }
        let lines = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "10.0.0.2")];
        assert_eq!(source("10.0.0.1", &lines).unwrap(), "203.0.113.7");
        assert_eq!(source("10.0.0.1", &[]).unwrap(), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_parsed_with_quotes_ports_and_other_parameters() {
        for (value, expected) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("For=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.1", "2001:db8::7"),
            ("for=198.51.100.1, for=\"203.0.113.7:80\";host=a, for=10.0.0.2", "203.0.113.7"),
            ("for=_hidden, for=unknown, for=203.0.113.7", "203.0.113.7"),
        ] {
            assert_eq!(source("10.0.0.1", &[("forwarded", value)]).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn hidden_or_malformed_entry_makes_the_source_unknown() {
        for value in [
            "for=203.0.113.7, for=_hidden",
            "for=unknown",
            "for=\"_gazonk\"",
            "for=\"203.0.113.7",
            "for=\"203.0.113.7, 10.0.0.2\"",
            "for=203.0.113.7;for=198.51.100.1",
            "proto=https",
            "for=",
            "",
        ] {
            assert_eq!(source("10.0.0.1", &[("forwarded", value)]), None, "{value}");
        }
        for value in ["unknown", "203.0.113.7,", "203.0.113.256", "fe80::1%eth0", "a b"] {
            assert_eq!(source("10.0.0.1", &[("x-forwarded-for", value)]), None, "{value}");
        }
    }

    #[test]
    fn two_headers_that_differ_make_the_source_unknown() {
        let x_forwarded_for = ("x-forwarded-for", "203.0.113.7, 10.0.0.2");
        let same = [("forwarded", "for=203.0.113.7"), x_forwarded_for];
        assert_eq!(source("10.0.0.1", &same).unwrap(), "203.0.113.7");
        let forged = [("forwarded", "for=192.0.2.1"), x_forwarded_for];
        assert_eq!(source("10.0.0.1", &forged), None);
    }

    #[test]
    fn only_the_header_that_the_proxies_set_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, HeaderValue::from_static("for=192.0.2.1"));
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("203.0.113.7"));
        let peer = "10.0.0.1".parse().unwrap();
        for (header, expected) in [
            (ForwardedHeader::XForwardedFor, "203.0.113.7"),
            (ForwardedHeader::Forwarded, "192.0.2.1"),
        ] {
            let proxies = TrustedProxies::new(["10.0.0.0/8"]).unwrap().header(header);
            assert_eq!(proxies.source(peer, &headers), Some(expected.parse().unwrap()));
            assert_eq!(proxies.source(peer, &HeaderMap::new()), Some(peer));
        }
    }

    #[test]
    fn text_that_is_not_a_network_is_rejected() {
        let error = TrustedProxies::new(["10.0.0.0/8", "proxy.example"]).unwrap_err();
        assert!(error.to_string().contains("\"proxy.example\""), "{error}");
    }
}
