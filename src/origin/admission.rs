//! [`Origins`]: the origins whose pages may change credentials.

use http::{HeaderMap, Uri, header};

use super::{Forwarded, Host, Origin};

/// The origins whose pages may change credentials.
#[derive(Debug)]
pub(crate) struct Origins {
    /// The origin of the configured base URL.
    pub(crate) base: Option<Origin<'static>>,
    pub(crate) trusted: Vec<Origin<'static>>,
    pub(crate) trust_forwarded: bool,
}

impl Origins {
    /// Returns whether a request comes from a page that may change credentials, or from a
    /// client that is not a browser.
    ///
    /// Browsers send `Origin` with every request that is not `GET` or `HEAD`, and
    /// `Sec-Fetch-Site` with every request over HTTPS or to loopback; pages cannot set
    /// either.
    pub(crate) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let sites = headers.get_all("sec-fetch-site");
        let is_cross_site =
            sites.iter().any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"));
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => !is_cross_site,
            (Some(origin), None) => {
                let origin = origin.to_str().ok().and_then(Origin::parse);
                origin.is_some_and(|origin| {
                    self.trusted.contains(&origin)
                        || (!is_cross_site && self.is_own(&origin, uri, headers))
                })
            }
            (Some(_), Some(_)) => false,
        }
    }

    /// Returns whether the client reaches the service under this origin.
    fn is_own(&self, origin: &Origin<'_>, uri: &Uri, headers: &HeaderMap) -> bool {
        if let Some(base) = &self.base
            && base.host.has_name_of(&origin.host)
        {
            if base == origin {
                return true;
            }
            // This host has the scheme of the base URL. A page over HTTP may have been forged on
            // the network.
            if !base.has_scheme(&origin.scheme) {
                return false;
            }
        }
        let host = Host::of(uri, headers);
        if !self.trust_forwarded {
            return host.is_some_and(|host| origin.is_of(&host));
        }
        let forwarded = Forwarded::of(headers);
        let host = forwarded.host.and_then(Host::parse).or(host);
        forwarded.scheme.is_none_or(|scheme| origin.has_scheme(scheme))
            && host.is_some_and(|host| origin.is_of(&host))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn origin(text: &str) -> Origin<'static> {
        Origin::parse(text).map(Origin::into_owned).unwrap()
    }

    fn origins(base: Option<&str>, trusted: &[&str]) -> Origins {
        Origins {
            base: base.map(origin),
            trusted: trusted.iter().map(|trusted| origin(trusted)).collect(),
            trust_forwarded: false,
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn admits(origins: &Origins, pairs: &[(&'static str, &'static str)]) -> bool {
        origins.admit(&Uri::from_static("/credentials"), &headers(pairs))
    }

    #[test]
    fn own_host_is_compared_with_its_port_and_without_case() {
        let own = origins(None, &[]);
        for (host, origin, expected) in [
            ("keys.test", "https://keys.test", true),
            ("keys.test", "http://keys.test", true),
            ("KEYS.test.", "https://keys.TEST", true),
            ("keys.test:443", "https://keys.test", true),
            ("keys.test:80", "http://keys.test", true),
            ("keys.test", "https://keys.test:443", true),
            ("keys.test:8338", "http://keys.test:8338", true),
            ("[::1]:8338", "http://[::1]:8338", true),
            ("keys.test:80", "https://keys.test", false),
            ("keys.test:443", "http://keys.test", false),
            ("keys.test", "https://keys.test:80", false),
            ("keys.test", "http://keys.test:8338", false),
            ("keys.test:8338", "http://keys.test", false),
            ("keys.test", "https://evil.test", false),
            ("keys.test", "https://keys.test.evil.test", false),
            ("keys.test", "https://sub.keys.test", false),
            ("keys.test", "app://keys.test", false),
            ("[::1]:8338", "http://[::2]:8338", false),
            ("keys.test", "null", false),
            ("null", "null", false),
            ("", "http://", false),
        ] {
            let admitted = admits(&own, &[("host", host), ("origin", origin)]);
            assert_eq!(admitted, expected, "{origin} at {host}");
        }
        let twice = [("host", "keys.test"), ("host", "keys.test"), ("origin", "http://keys.test")];
        assert!(!admits(&own, &twice));
        assert!(!admits(&own, &[("origin", "http://keys.test")]));
    }

    #[test]
    fn base_url_is_compared_with_its_scheme() {
        let based = origins(Some("https://keys.test"), &[]);
        for (host, origin, expected) in [
            ("inner:8338", "https://keys.test", true),
            ("inner:8338", "https://keys.test:443", true),
            ("inner:8338", "http://inner:8338", true),
            ("keys.test", "https://keys.test", true),
            ("keys.test:8338", "https://keys.test:8338", true),
            ("inner:8338", "http://keys.test", false),
            ("keys.test", "http://keys.test", false),
            ("keys.test:8338", "http://keys.test:8338", false),
            ("inner:8338", "https://keys.test:8338", false),
        ] {
            let admitted = admits(&based, &[("host", host), ("origin", origin)]);
            assert_eq!(admitted, expected, "{origin} at {host}");
        }
    }

    #[test]
    fn trusted_forwarded_headers_replace_the_host() {
        let trusting = Origins { trust_forwarded: true, ..origins(None, &[]) };
        let forwarded = [
            ("host", "inner:8338"),
            ("x-forwarded-host", "keys.test"),
            ("x-forwarded-proto", "https"),
        ];
        let with = |origin| [&forwarded[..], &[("origin", origin)]].concat();
        assert!(admits(&trusting, &with("https://keys.test")));
        assert!(!admits(&trusting, &with("http://keys.test")));
        assert!(!admits(&trusting, &with("http://inner:8338")));
        assert!(!admits(&origins(None, &[]), &with("https://keys.test")));
        assert!(admits(&origins(None, &[]), &with("http://inner:8338")));
        let direct = [("host", "inner:8338"), ("origin", "http://inner:8338")];
        assert!(admits(&trusting, &direct));
    }

    #[test]
    fn only_a_trusted_origin_may_come_from_another_site() {
        let trusting = origins(None, &["https://console.test", "app://localhost"]);
        let cross = ("sec-fetch-site", "cross-site");
        let host = ("host", "keys.test");
        for (origin, trusted) in [
            ("https://console.test", true),
            ("https://Console.test.:443", true),
            ("app://localhost", true),
            ("http://console.test", false),
            ("https://console.test:8443", false),
            ("https://sub.console.test", false),
            ("https://keys.test", false),
            ("null", false),
        ] {
            assert_eq!(admits(&trusting, &[host, cross, ("origin", origin)]), trusted, "{origin}");
        }
        assert!(!admits(&trusting, &[host, cross]));
        assert!(!admits(&trusting, &[host, ("sec-fetch-site", "none"), cross]));
        for site in ["none", "same-origin", "same-site"] {
            assert!(admits(&trusting, &[host, ("sec-fetch-site", site)]), "{site}");
        }
        let console = ("origin", "https://console.test");
        assert!(!admits(&trusting, &[host, console, console]));
    }

    proptest! {
        #[test]
        fn only_pages_of_the_host_are_its_own(
            host in "[a-c]{1,2}\\.test", port in 1_u16..4, other in "[a-c]{1,2}\\.test",
            other_port in 1_u16..4,
        ) {
            let own = origins(None, &[]);
            let mut headers = HeaderMap::new();
            headers.insert("host", format!("{host}:{port}").parse().unwrap());
            headers.insert("origin", format!("http://{other}:{other_port}").parse().unwrap());
            let expected = (&host, port) == (&other, other_port);
            prop_assert_eq!(own.admit(&Uri::from_static("/"), &headers), expected);
        }

        #[test]
        fn no_origin_makes_the_check_panic(text in "[ -~]{0,40}") {
            let mut headers = HeaderMap::new();
            headers.insert("origin", text.parse().unwrap());
            let _ = origins(None, &[]).admit(&Uri::from_static("/"), &headers);
        }
    }
}
