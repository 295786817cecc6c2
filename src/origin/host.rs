//! [`Host`]: a host in the header `Host`, a URL or an `Origin`.

use std::{borrow::Cow, net::Ipv6Addr};

use http::{HeaderMap, Uri, header};

/// A host, with its port if one is given.
///
/// Names are equal regardless of case and a final dot. IPv6 addresses, which are in brackets,
/// are equal if their values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    name: Name<'a>,
    pub(super) port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Name<'a> {
    /// A DNS name or an IPv4 address, without the final dot.
    Text(Cow<'a, str>),
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// The host that a request is for. `None` if the request names no host, two hosts, or an
    /// invalid host.
    pub(crate) fn of(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Self> {
        Self::parse(host_text(uri, headers)?)
    }

    /// Parses `host` or `host:port`. An empty port counts as absent.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (name, rest) = if let Some(text) = text.strip_prefix('[') {
            let (address, rest) = text.split_once(']')?;
            (Name::V6(address.parse().ok()?), rest)
        } else {
            let end = text.find(':').unwrap_or(text.len());
            (Name::of_text(&text[..end])?, &text[end..])
        };
        let port = match rest.strip_prefix(':') {
            Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            None if rest.is_empty() => None,
            Some(_) | None => return None,
        };
        Some(Self { name, port })
    }

    /// Returns whether both have the same name. Ports do not count.
    pub(crate) fn has_name_of(&self, other: &Host<'_>) -> bool {
        self.name == other.name
    }

    /// Returns whether a request for the other host is for this host. The port counts only
    /// if this host has a port.
    pub(crate) fn covers(&self, other: &Host<'_>) -> bool {
        self.has_name_of(other) && (self.port.is_none() || self.port == other.port)
    }

    pub(crate) fn into_owned(self) -> Host<'static> {
        let name = match self.name {
            Name::Text(text) => Name::Text(text.into_owned().into()),
            Name::V6(address) => Name::V6(address),
        };
        Host { name, port: self.port }
    }
}

impl<'a> Name<'a> {
    fn of_text(text: &'a str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        (!text.is_empty() && text.bytes().all(allowed)).then_some(Self::Text(text.into()))
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.eq_ignore_ascii_case(other),
            (Self::V6(one), Self::V6(other)) => one == other,
            (Self::Text(_), Self::V6(_)) | (Self::V6(_), Self::Text(_)) => false,
        }
    }
}

impl Eq for Name<'_> {}

/// The host of a request as the client sent it. HTTP/2 and absolute URIs have it in the URI,
/// which takes precedence. `None` if there are two `Host` headers: other software may use the
/// other one.
pub(crate) fn host_text<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut named = headers.get_all(header::HOST).iter();
    let header = named.next();
    if named.next().is_some() {
        return None;
    }
    let host = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => header?.to_str().ok()?,
    };
    // The part before an @ is the user info.
    Some(host.rsplit_once('@').map_or(host, |(_, host)| host))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> Host<'_> {
        Host::parse(text).unwrap_or_else(|| panic!("{text:?} is not a host"))
    }

    #[test]
    fn spellings_of_one_host_are_equal() {
        for (one, other) in [
            ("keys.example.com", "KEYS.Example.COM"),
            ("keys.example.com", "keys.example.com."),
            ("keys.example.com:8338", "keys.example.com.:8338"),
            ("keys.example.com", "keys.example.com:"),
            ("[::1]:80", "[0:0:0:0:0:0:0:1]:80"),
            ("[2001:DB8::a]", "[2001:db8::A]"),
            ("127.0.0.1", "127.0.0.1."),
        ] {
            assert_eq!(host(one), host(other));
        }
    }

    #[test]
    fn other_hosts_and_ports_differ() {
        for (one, other) in [
            ("keys.example.com", "example.com"),
            ("keys.example.com", "keys.example.com.evil.example"),
            ("keys.example.com", "keys.example.com:80"),
            ("keys.example.com:80", "keys.example.com:443"),
            ("[::1]", "[::2]"),
            ("[::1]:80", "[::1]:81"),
            ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ] {
            assert_ne!(host(one), host(other));
        }
    }

    #[test]
    fn text_that_is_not_a_host_is_not_parsed() {
        for text in [
            "",
            ".",
            ":80",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "a,b",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:-1",
            "a:+1",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:x",
            "[]",
            "[a]",
            "[::1%25eth0]",
            "b\u{fc}cher.example",
            "a\"b",
            "a\\b",
            "*",
            "*.example.com",
        ] {
            assert_eq!(Host::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn host_without_a_port_covers_every_port() {
        assert!(host("keys.test").covers(&host("Keys.test.:8338")));
        assert!(host("keys.test:8338").covers(&host("keys.test:8338")));
        assert!(!host("keys.test:8338").covers(&host("keys.test")));
        assert!(!host("keys.test:8338").covers(&host("keys.test:80")));
        assert!(!host("keys.test").covers(&host("other.test")));
    }

    #[test]
    fn uri_takes_precedence_over_the_header_and_two_headers_name_no_host() {
        let of = |uri: &'static str, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            let uri = Uri::from_static(uri);
            host_text(&uri, &headers).map(ToOwned::to_owned)
        };
        assert_eq!(of("/", &["h:1"]).as_deref(), Some("h:1"));
        assert_eq!(of("http://u/", &["h:1"]).as_deref(), Some("u"));
        assert_eq!(of("http://me@u:2/", &[]).as_deref(), Some("u:2"));
        assert_eq!(of("/", &[]), None);
        assert_eq!(of("/", &["h", "h"]), None);
        assert_eq!(of("http://u/", &["h", "h"]), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = Host::parse(&text);
        }

        #[test]
        fn case_and_a_final_dot_change_nothing(
            name in "[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", port in proptest::option::of(any::<u16>()),
        ) {
            let port = port.map_or_else(String::new, |port| format!(":{port}"));
            let (plain, other) =
                (format!("{name}{port}"), format!("{}.{port}", name.to_uppercase()));
            prop_assert_eq!(host(&plain), host(&other));
        }
    }
}
