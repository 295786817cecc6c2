//! Responses to refused requests, in S3's XML.
//!
//! Source: Amazon S3 API Reference, "Error responses".

use std::{borrow::Cow, fmt::Write as _};

use bytes::Bytes;
use http::{
    Extensions, HeaderName, HeaderValue, Method, Request, Response, Uri, header, uri::PathAndQuery,
};
use http_body_util::Full;
use rand::RngExt;

use super::payload_error::PayloadErrorKind;
use crate::{
    guessers::Guess,
    origin::RequestId,
    signature::{
        form::FormError,
        request::{RequestError, S3ErrorCode},
    },
};

const X_AMZ_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// The seconds after which a client may retry when keys cannot be looked up, or memory is short.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The longest element that repeats what the client signed, in bytes.
const LONGEST_ECHO: usize = 8_192;

/// Why a request is refused: the response that the client receives.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: S3ErrorCode,
    message: Cow<'static, str>,
    /// Further elements, depending on the code.
    details: Vec<(&'static str, String)>,
    /// What the request guessed at.
    pub(super) guess: Option<Guess>,
}

impl Refusal {
    pub(super) fn new(code: S3ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), guess: None }
    }

    /// Notes that the request guessed at a secret.
    pub(super) fn with_guess(self, guess: Option<Guess>) -> Self {
        Self { guess, ..self }
    }

    /// Adds an element.
    pub(super) fn with(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.details.push((name, text.into()));
        self
    }

    /// Adds a string that was signed, so that the client can compare.
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

    /// Refuses a wrong signature of this key, or a request that must look like one.
    pub(super) fn mismatch(access_key: &str) -> Self {
        let message = "The request signature we calculated does not match the signature you \
                       provided. Check your key and signing method.";
        Self::new(S3ErrorCode::SignatureDoesNotMatch, message).with("AWSAccessKeyId", access_key)
    }

    pub(super) fn unavailable() -> Self {
        let message = "Keys cannot be looked up at the moment. Please try again.";
        Self::new(S3ErrorCode::ServiceUnavailable, message)
    }

    /// Renders the response to a request.
    pub(super) fn render(&self, context: &RefusalContext) -> Response<Full<Bytes>> {
        let id: Cow<'_, str> = match &context.id {
            Some(id) => id.as_str().into(),
            None => format!("{:016X}", rand::rng().random::<u64>()).into(),
        };
        // A response to HEAD has no body.
        let body = if context.head { String::new() } else { self.xml(context.path(), &id) };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::try_from(&*id) {
            headers.insert(X_AMZ_REQUEST_ID, id);
        }
        if matches!(self.code, S3ErrorCode::ServiceUnavailable | S3ErrorCode::SlowDown) {
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

/// The parts of a request that its refusal needs after the request is gone.
#[derive(Clone, Debug)]
pub(super) struct RefusalContext {
    target: Option<PathAndQuery>,
    head: bool,
    /// Without it, the refusal gets an id of its own.
    id: Option<RequestId>,
}

impl RefusalContext {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self::new(request.method(), request.uri(), request.extensions())
    }

    pub(super) fn new(method: &Method, uri: &Uri, extensions: &Extensions) -> Self {
        let (target, id) = (uri.path_and_query().cloned(), extensions.get().cloned());
        Self { target, head: *method == Method::HEAD, id }
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::path)
    }
}

/// Writes an element. Leaves out the characters that XML cannot contain.
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
    fn client_input_cannot_add_xml() {
        let request = Request::get("/a%3Cb?X-Amz-Signature=secret").body(()).unwrap();
        let context = RefusalContext::of(&request);
        let refusal = Refusal::unknown_key("<x>&\"\u{0}\u{8}y\n");
        let xml = refusal.xml(context.path(), "ID");
        assert!(xml.contains("<AWSAccessKeyId>&lt;x&gt;&amp;&quot;y\n</AWSAccessKeyId>"), "{xml}");
        assert!(xml.contains("<Resource>/a%3Cb</Resource><RequestId>ID</RequestId></Error>"));
    }
}
