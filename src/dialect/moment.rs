//! What a response is rendered with, beside the outcome.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, request::Parts};

/// When a response is rendered, and for which request.
pub(crate) struct Moment<'a> {
    /// The time of the response.
    pub(crate) now: SystemTime,
    /// The request's head.
    pub(crate) head: &'a Parts,
    /// What links start with, if the app has said so.
    pub(crate) base_url: Option<&'a str>,
    /// Whether a proxy in front says what the client used.
    pub(crate) trust_forwarded: bool,
}

impl Moment<'_> {
    /// The time, for a `Date` header, whose format ends with the year 9999.
    pub(crate) fn date(&self) -> HeaderValue {
        let end = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        let date = httpdate::fmt_http_date(self.now.clamp(UNIX_EPOCH, end));
        HeaderValue::try_from(date).expect("a date is valid in a header")
    }

    /// What a link to a path of this service starts with: the configured base
    /// URL, else the scheme and host that the client used, as far as a trusted
    /// proxy or the request tells, else nothing, which makes links relative.
    pub(crate) fn origin(&self) -> String {
        if let Some(base_url) = self.base_url {
            return base_url.into();
        }
        let uri = &self.head.uri;
        let host = match uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => self.head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()),
        };
        // What stands before an @ names a user, who has no place in a link.
        let host = host.map(|host| host.rsplit_once('@').map_or(host, |(_, host)| host));
        let scheme = uri.scheme_str().unwrap_or("http");
        if self.trust_forwarded {
            let forwarded = Forwarded::of(&self.head.headers);
            let scheme = forwarded.scheme.unwrap_or(scheme);
            let prefix = forwarded.prefix.unwrap_or_default();
            let host = forwarded.host.or(host);
            return host.map_or_else(String::new, |host| format!("{scheme}://{host}{prefix}"));
        }
        host.map_or_else(String::new, |host| format!("{scheme}://{host}"))
    }
}

/// What a proxy says that the client used. What is no host, scheme or path is as
/// if it were not there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Forwarded<'a> {
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    prefix: Option<&'a str>,
}

impl<'a> Forwarded<'a> {
    /// RFC 7239's header, and the older ones where it says nothing. Of a chain of
    /// proxies the first is the one that the client reached.
    fn of(headers: &'a HeaderMap) -> Self {
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
    fn a_proxy_says_scheme_host_and_prefix_in_either_form() {
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
    fn what_is_no_host_scheme_or_path_is_left_out() {
        let bad = headers(&[
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-host", "a\"b"),
            ("x-forwarded-prefix", "//evil.example\""),
        ]);
        assert_eq!(forwarded(&bad), [None, None, None]);
    }
}
