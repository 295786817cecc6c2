//! What the query APIs of AWS have in common: where their requests arrive, how their parameters
//! are written, and the frame of their responses.
//!
//! Sources: IAM User Guide, "Making query requests"; IAM API Reference, "Common errors".

mod error;
mod params;
mod xml;

use std::borrow::Cow;

use bytes::Bytes;
use data_encoding::BASE32_NOPAD;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
use http_body_util::Full;
use rand::RngExt;
use sha2::{Digest, Sha256};

pub(crate) use self::{
    error::{QueryCode, QueryError},
    params::Params,
};
pub(super) use self::{
    params::{Form, violation},
    xml::Xml,
};
use super::context::RETRY_AFTER;
use crate::{
    domain::UserId,
    origin::{Host, RequestId},
    signature::request::{RequestHead, Service, query_api},
};

/// The content type of parameters in a body.
const FORM: &str = "application/x-www-form-urlencoded";

/// The action that needs no signature.
const WEB_IDENTITY: &str = "Action=AssumeRoleWithWebIdentity";

const X_AMZN_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Where the requests of the query APIs arrive.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// The path `/` of a host of their own.
    Host(Host<'static>),
    /// A path of their own.
    Path(String),
    /// The path `/`, which they share with the app.
    Root,
}

/// The kind of a request to the query APIs, from its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// It is presigned, which these APIs do not take.
    Presigned,
    /// It is signed for this API.
    Signed(Service),
    /// It is not signed.
    Unsigned,
}

impl Place {
    /// Returns what a request is; `None` if it is not for the query APIs.
    pub(crate) fn route<B>(&self, request: &Request<B>) -> Option<Route> {
        let (uri, headers) = (request.uri(), request.headers());
        let is_apart = match self {
            Self::Host(host) => {
                let is_here = uri.path() == "/"
                    && Host::of(uri, headers).is_some_and(|of_request| host.covers(&of_request));
                is_here.then_some(true)
            }
            Self::Path(path) => {
                let rest = uri.path().strip_prefix(&**path);
                matches!(rest, Some("" | "/")).then_some(true)
            }
            Self::Root => (uri.path() == "/").then_some(false),
        }?;
        let query = uri.query().unwrap_or_default();
        if let Some(service) = query_api::service_of(RequestHead::from(request)) {
            return Some(Route::Signed(service));
        }
        let is_signed = headers.contains_key(header::AUTHORIZATION);
        if !is_signed && query_api::service_of_presigned(query).is_some() {
            return Some(Route::Presigned);
        }
        let names_action = query.split('&').any(|pair| pair == WEB_IDENTITY);
        let is_form = *request.method() == Method::POST && query.is_empty() && has_form(headers);
        let is_ours = is_apart || !is_signed && (names_action || is_form);
        is_ours.then_some(Route::Unsigned)
    }
}

/// Returns whether the body is a form of parameters.
fn has_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let value = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    value.trim().eq_ignore_ascii_case(FORM)
}

/// Returns the parameters of a request without a signature: those of its body if that is a form,
/// else those of its query.
pub(crate) fn params(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Params, QueryError> {
    let query = uri.query().unwrap_or_default();
    if !has_form(headers) {
        return Params::parse(query.as_bytes());
    }
    if query.is_empty() {
        return Params::parse(body);
    }
    if body.is_empty() {
        return Params::parse(query.as_bytes());
    }
    Err(QueryError::invalid("Parameters must be in the body or in the query, not in both."))
}

/// Returns the parameters of a signed request, which are in its body.
pub(crate) fn signed_params(
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Params, QueryError> {
    let has_query = uri.query().is_some_and(|query| !query.is_empty());
    if has_query || !body.is_empty() && !has_form(headers) {
        return Err(QueryError::invalid("The parameters must be a form in the body."));
    }
    Params::parse(body)
}

/// A response, before it has an id.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) service: Service,
    pub(super) action: &'static str,
    /// The children of the result. `None` for an action without a result.
    pub(super) result: Option<Xml>,
}

impl Answer {
    /// Renders the response to the request with this id, or with a fresh id.
    pub(crate) fn render(self, id: Option<&RequestId>) -> Response<Full<Bytes>> {
        let (id, response) = (text_of(id), [self.action, "Response"]);
        let mut xml = Xml::new();
        xml.open(response, namespace(self.service));
        if let Some(result) = self.result {
            xml.element(&[self.action, "Result"].concat(), |xml| xml.all(&result));
        }
        xml.element("ResponseMetadata", |xml| _ = xml.text("RequestId", &id));
        respond(StatusCode::OK, &id, xml.close(response))
    }
}

/// Renders the refusal of a request to an API. Without an id, the response has a fresh one.
pub(crate) fn refuse(
    service: Service,
    error: &QueryError,
    id: Option<&RequestId>,
) -> Response<Full<Bytes>> {
    let (id, status) = (text_of(id), error.code.status());
    let kind = if status.is_server_error() { "Receiver" } else { "Sender" };
    let (mut xml, name) = (Xml::new(), ["Error", "Response"]);
    xml.open(name, namespace(service)).element("Error", |xml| {
        xml.text("Type", kind).text("Code", error.code.as_str()).text("Message", &error.message);
    });
    xml.text("RequestId", &id);
    let mut response = respond(status, &id, xml.close(name));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

fn respond(status: StatusCode, id: &str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(X_AMZN_REQUEST_ID, id);
    }
    response
}

fn namespace(service: Service) -> &'static str {
    match service {
        Service::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
        Service::S3 | Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
    }
}

/// The ARN of a user in an account.
pub(super) fn user_arn(user_id: &UserId, account: &str) -> String {
    format!("arn:aws:iam::{account}:user/{user_id}")
}

/// The unique id of a user or its role: a prefix, and 16 characters that depend on the user's id.
pub(super) fn unique_id(prefix: &str, user_id: &UserId) -> String {
    let digest = Sha256::digest(user_id.as_str());
    format!("{prefix}{}", BASE32_NOPAD.encode(&digest[..10]))
}

/// The id of the request, or a fresh one.
fn text_of(id: Option<&RequestId>) -> Cow<'_, str> {
    id.map_or_else(|| random_id().into(), |id| id.as_str().into())
}

/// A random id in the form of a UUID.
fn random_id() -> String {
    let digits = format!("{:032x}", rand::rng().random::<u128>());
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}
