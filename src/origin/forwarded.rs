//! [`Forwarded`]: the scheme, host and path prefix that a proxy reports.
//!
//! It reads the first element, of the proxy that the client reached, and only if the app says that
//! all clients come through proxies. The address of the client is not read here:
//! [`TrustedProxies`](super::TrustedProxies) reads `for`, from the right.

use http::HeaderMap;

/// The scheme, host and path prefix that the client used, as a proxy reports them. Invalid
/// values count as absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Forwarded<'a> {
    pub(crate) scheme: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
    pub(crate) prefix: Option<&'a str>,
}

impl<'a> Forwarded<'a> {
    /// Parses RFC 7239's header, and the older headers for values that it lacks. In a chain of
    /// proxies, the client reached the first.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let first = |name: &str| {
            let text = headers.get(name)?.to_str().ok()?;
            Some(text.split(',').next().unwrap_or_default().trim())
        };
        let element = first("forwarded").unwrap_or_default();
        let member = |wanted: &str| {
            element.split(';').find_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                name.eq_ignore_ascii_case(wanted).then_some(value.trim_matches('"'))
            })
        };
        let is_host = |host: &&str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
            !host.is_empty() && host.bytes().all(allowed)
        };
        let is_path = |path: &&str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b);
            path.starts_with('/') && path.bytes().all(allowed)
        };
        let scheme = member("proto").or_else(|| first("x-forwarded-proto"));
        let host = member("host").or_else(|| first("x-forwarded-host"));
        let prefix = first("x-forwarded-prefix").map(|prefix| prefix.trim_end_matches('/'));
        Self {
            scheme: scheme.filter(|scheme| ["http", "https"].contains(scheme)),
            host: host.filter(is_host),
            prefix: prefix.filter(is_path),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn forwarded(headers: &HeaderMap) -> [Option<&str>; 3] {
        let Forwarded { scheme, host, prefix } = Forwarded::of(headers);
        [scheme, host, prefix]
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn scheme_host_and_prefix_are_parsed_in_both_forms() {
        let old = headers(&[
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "cloud.example, inner"),
            ("x-forwarded-prefix", "/identity/"),
        ]);
        let expected = [Some("https"), Some("cloud.example"), Some("/identity")];
        assert_eq!(forwarded(&old), expected);
        let new = headers(&[
            ("forwarded", "for=192.0.2.7;Proto=https;host=\"cloud.example:5001\", for=10.0.0.1"),
            ("x-forwarded-proto", "http"),
        ]);
        assert_eq!(forwarded(&new), [Some("https"), Some("cloud.example:5001"), None]);
    }

    #[test]
    fn invalid_hosts_schemes_and_paths_are_ignored() {
        let bad = headers(&[
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-host", "a\"b"),
            ("x-forwarded-prefix", "//evil.example\""),
        ]);
        assert_eq!(forwarded(&bad), [None, None, None]);
    }
}
