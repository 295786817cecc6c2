//! Parses the host that a request is for, and checks the origin of the page that sent it. Describes
//! the connection and the address of the client.

use std::borrow::Cow;

mod admission;
mod connection;
mod forwarded;
mod host;
mod proxies;

pub(crate) use self::{
    admission::Origins,
    forwarded::Forwarded,
    host::{Host, host_text},
};
pub use self::{
    connection::{ClientAddress, ClientTls, RequestId},
    proxies::{ForwardedHeader, InvalidNetwork, TrustedProxies},
};

/// An origin: the scheme, host and port of a page.
#[derive(Clone, Debug)]
pub(crate) struct Origin<'a> {
    scheme: Cow<'a, str>,
    host: Host<'a>,
}

impl<'a> Origin<'a> {
    /// Parses `scheme://host` or `scheme://host:port`. `null` is not an origin.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, host) = text.split_once("://")?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        let is_scheme =
            scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(allowed);
        let host = Host::parse(host).filter(|_| is_scheme)?;
        Some(Self { scheme: scheme.into(), host })
    }

    pub(crate) fn into_owned(self) -> Origin<'static> {
        Origin { scheme: self.scheme.into_owned().into(), host: self.host.into_owned() }
    }

    fn has_scheme(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The port of the scheme.
    fn default_port(&self) -> Option<u16> {
        match () {
            () if self.has_scheme("http") => Some(80),
            () if self.has_scheme("https") => Some(443),
            () => None,
        }
    }

    fn port(&self) -> Option<u16> {
        self.host.port.or(self.default_port())
    }

    /// Returns whether this host serves pages of this origin, over HTTP or HTTPS.
    fn is_of(&self, host: &Host<'_>) -> bool {
        let default = self.default_port();
        default.is_some() && self.host.has_name_of(host) && self.port() == host.port.or(default)
    }
}

impl PartialEq<Origin<'_>> for Origin<'_> {
    fn eq(&self, other: &Origin<'_>) -> bool {
        self.has_scheme(&other.scheme)
            && self.host.has_name_of(&other.host)
            && self.port() == other.port()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin<'_> {
        Origin::parse(text).unwrap_or_else(|| panic!("{text:?} is not an origin"))
    }

    #[test]
    fn default_port_is_that_of_the_scheme() {
        assert_eq!(origin("http://h"), origin("HTTP://H.:80"));
        assert_eq!(origin("https://h"), origin("https://h:443"));
        assert_ne!(origin("https://h"), origin("http://h"));
        assert_ne!(origin("https://h:80"), origin("http://h:80"));
        assert_ne!(origin("https://h"), origin("https://h:80"));
        assert_eq!(origin("https://[2001:db8::1]"), origin("https://[2001:DB8:0::1]:443"));
        assert_eq!(origin("app://localhost"), origin("app://localhost"));
        assert_ne!(origin("app://localhost"), origin("app://localhost:80"));
    }

    #[test]
    fn text_that_is_not_an_origin_is_not_parsed() {
        for text in [
            "null",
            "",
            "h",
            "//h",
            "://h",
            "http:/h",
            "http://",
            "http:///",
            "http://h/",
            "http://h/p",
            "http://h?q",
            "http://h#f",
            "http://me@h",
            "http://h http://g",
            "http://h, http://g",
            "http://*.h",
            "*",
            "1http://h",
            "ht tp://h",
            "file://",
            "http://h:x",
            "http://h:65536",
            "javascript:alert(1)",
        ] {
            assert!(Origin::parse(text).is_none(), "{text:?}");
        }
    }
}
