//! [`RenderContext`]: the time and the request, which every dialect needs to render a response.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, StatusCode, request::Parts};
use serde::Serialize;

use crate::{
    error::Error,
    origin::{ClientTls, Forwarded, host_text},
};

/// The time and the request for which a response is rendered.
pub(crate) struct RenderContext<'a> {
    /// The time of the response.
    pub(crate) now: SystemTime,
    /// The request's head.
    pub(crate) head: &'a Parts,
    /// The start of links, if the app sets it.
    pub(crate) base_url: Option<&'a str>,
    /// Whether to trust a proxy's headers about the URL that the client used.
    pub(crate) trust_forwarded: bool,
}

impl RenderContext<'_> {
    /// The time for a `Date` header. The format ends with the year 9999.
    pub(crate) fn date(&self) -> HeaderValue {
        let end = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        let date = httpdate::fmt_http_date(self.now.clamp(UNIX_EPOCH, end));
        HeaderValue::try_from(date).expect("a date is valid in a header")
    }

    /// The seconds until the next minute, for `Retry-After` of a limit per minute.
    pub(crate) fn until_next_minute(&self) -> HeaderValue {
        let seconds = self.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        HeaderValue::from(60 - seconds % 60)
    }

    /// The start of links to this service: the configured base URL, else the scheme and host
    /// that a trusted proxy or the request names. Empty otherwise, so that links are relative.
    /// On an encrypted connection the scheme is `https`, unless a trusted proxy names another.
    pub(crate) fn origin(&self) -> String {
        // Room for the path that the caller adds.
        let mut origin = String::with_capacity(128);
        self.write_origin(&mut origin);
        origin
    }

    fn write_origin(&self, origin: &mut String) {
        if let Some(base_url) = self.base_url {
            origin.push_str(base_url);
            return;
        }
        let Parts { uri, headers, extensions, .. } = self.head;
        let host = host_text(uri, headers);
        let scheme = match extensions.get() {
            Some(ClientTls::Version(_)) => "https",
            Some(ClientTls::None) | None => uri.scheme_str().unwrap_or("http"),
        };
        if self.trust_forwarded {
            let forwarded = Forwarded::of(headers);
            let scheme = forwarded.scheme.unwrap_or(scheme);
            let prefix = forwarded.prefix.unwrap_or_default();
            if let Some(host) = forwarded.host.or(host) {
                origin.extend([scheme, "://", host, prefix]);
            }
        } else if let Some(host) = host {
            origin.extend([scheme, "://", host]);
        }
    }
}

/// Seconds after which a client may try again during an outage.
pub(super) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Keystone's error object.
#[derive(Serialize)]
pub(super) struct ErrorObject<'a> {
    error: ErrorMembers<'a>,
}

#[derive(Serialize)]
struct ErrorMembers<'a> {
    code: u16,
    title: &'static str,
    message: &'a str,
}

impl<'a> ErrorObject<'a> {
    pub(super) fn new(status: StatusCode, error: &'a Error) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        Self { error: ErrorMembers { code: status.as_u16(), title, message: error.message() } }
    }
}
