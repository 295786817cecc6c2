//! Answers to requests that are not verified, in S3's XML.
//!
//! Source: Amazon S3 API Reference, "Error responses".

use std::{borrow::Cow, fmt::Write as _};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header, uri::PathAndQuery};
use http_body_util::Full;
use rand::RngExt;

use super::payload_error::PayloadErrorKind;
use crate::signature::{
    form::FormError,
    request::{RequestError, S3ErrorCode},
};

const X_AMZ_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// Seconds after which a client may try again when keys cannot be looked up.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The longest element of what the client signed that is told back, in bytes.
const LONGEST_ECHO: usize = 8_192;

/// Why a request is refused, and what the client is told.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: S3ErrorCode,
    message: Cow<'static, str>,
    /// Further elements, which depend on the code.
    details: Vec<(&'static str, String)>,
}

impl Refusal {
    pub(super) fn new(code: S3ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// Adds an element.
    pub(super) fn with(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.details.push((name, text.into()));
        self
    }

    /// Adds what was signed, so that the client can see where it differs.
    pub(super) fn with_signed(self, name: &'static str, text: &[u8]) -> Self {
        let text = &text[..text.len().min(LONGEST_ECHO)];
        self.with(name, String::from_utf8_lossy(text))
    }

    pub(super) fn anonymous() -> Self {
        Self::new(S3ErrorCode::AccessDenied, "Access Denied: the request is not signed.")
    }

    pub(super) fn unknown_key(access_key: &str) -> Self {
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        Self::new(S3ErrorCode::InvalidAccessKeyId, message).with("AWSAccessKeyId", access_key)
    }

    pub(super) fn wrong_signature() -> Self {
        let message = "The request signature we calculated does not match the signature you \
                       provided. Check your key and signing method.";
        Self::new(S3ErrorCode::SignatureDoesNotMatch, message)
    }

    /// A wrong signature of this key, or what shall look like one.
    pub(super) fn mismatch(access_key: &str) -> Self {
        Self::wrong_signature().with("AWSAccessKeyId", access_key)
    }

    pub(super) fn unavailable() -> Self {
        let message = "Keys cannot be looked up at the moment. Please try again.";
        Self::new(S3ErrorCode::ServiceUnavailable, message)
    }

    /// The answer to a request for this.
    pub(super) fn render(&self, asked: &Asked) -> Response<Full<Bytes>> {
        let id = format!("{:016X}", rand::rng().random::<u64>());
        // An answer to HEAD has no body.
        let body = if asked.head { String::new() } else { self.xml(asked.path(), &id) };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::try_from(id) {
            headers.insert(X_AMZ_REQUEST_ID, id);
        }
        if self.code == S3ErrorCode::ServiceUnavailable {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response.extensions_mut().insert(self.code);
        response
    }

    fn xml(&self, path: &str, id: &str) -> String {
        let mut xml = String::with_capacity(512);
        xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
        element(&mut xml, "Code", self.code.as_str());
        element(&mut xml, "Message", &self.message);
        for (name, text) in &self.details {
            element(&mut xml, name, text);
        }
        element(&mut xml, "Resource", path);
        element(&mut xml, "RequestId", id);
        xml.push_str("</Error>");
        xml
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::new(error.code(), error.message())
    }
}

impl From<FormError> for Refusal {
    fn from(error: FormError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<PayloadErrorKind> for Refusal {
    fn from(kind: PayloadErrorKind) -> Self {
        Self::new(kind.code(), kind.to_string())
    }
}

/// What of a request its refusal needs, when the request itself is gone.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    target: Option<PathAndQuery>,
    head: bool,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self::new(request.method(), request.uri())
    }

    pub(super) fn new(method: &Method, uri: &Uri) -> Self {
        Self { target: uri.path_and_query().cloned(), head: *method == Method::HEAD }
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::path)
    }
}

/// Writes an element. What XML cannot hold in any way is left out.
fn element(xml: &mut String, name: &str, text: &str) {
    let _ = write!(xml, "<{name}>");
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' | '\t' => xml.push(character),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => xml.push(character),
        }
    }
    let _ = write!(xml, "</{name}>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_sent_cannot_add_to_the_xml() {
        let request = Request::get("/a%3Cb?X-Amz-Signature=secret").body(()).unwrap();
        let asked = Asked::of(&request);
        let refusal = Refusal::unknown_key("<x>&\"\u{0}\u{8}y\n");
        let xml = refusal.xml(asked.path(), "ID");
        assert!(xml.contains("<AWSAccessKeyId>&lt;x&gt;&amp;&quot;y\n</AWSAccessKeyId>"), "{xml}");
        assert!(xml.contains("<Resource>/a%3Cb</Resource><RequestId>ID</RequestId></Error>"));
    }
}
