//! Parses the bodies of `ec2tokens` and `s3tokens`, and renders the response.

use std::{collections::BTreeMap, time::SystemTime};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderName, HeaderValue, Response, StatusCode, request::Parts};
use http_body_util::Full;
use rand::RngExt;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    authority::Verified,
    dialect::{
        json::{self, Node, Object},
        keystone,
    },
    directory::{Domain, Role},
    domain::{AccessKey, Delegation},
    error::Error,
    signature::{Ec2Signed, Ec2TokensRequest, S3TokensRequest, SignatureError},
};

const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// The members that may contain the signed request. The first that is not empty counts.
const WRAPPERS: [&str; 3] = ["credentials", "credential", "ec2Credentials"];

/// Parses `POST /v3/s3tokens`.
pub(super) fn s3(head: &Parts, body: &[u8]) -> Result<S3TokensRequest, Error> {
    let body = keystone::read(head, body)?;
    let signed = signed(&body)?;
    let access_key = access_key(signed)?;
    let (token, signature) =
        (json::required_string(signed, "token")?, json::required_string(signed, "signature")?);
    S3TokensRequest::parse(access_key, token, signature).map_err(refusal)
}

/// Parses `POST /v3/ec2tokens`.
pub(super) fn ec2(head: &Parts, body: &[u8]) -> Result<Box<Ec2Signed>, Error> {
    let body = keystone::read(head, body)?;
    let signed = signed(&body)?;
    let access = access_key(signed)?;
    let text = |name| Ok::<_, Error>(json::optional_string(signed, name)?.map(str::to_owned));
    // A missing signature is not valid.
    let signature = text("signature")?.filter(|signature| !signature.is_empty());
    let request = Ec2TokensRequest {
        access,
        signature: signature.ok_or_else(Error::unauthenticated)?,
        verb: text("verb")?,
        host: text("host")?,
        path: text("path")?,
        params: strings(signed, "params")?
            .ok_or_else(|| Error::bad_request("params is required."))?,
        headers: strings(signed, "headers")?.unwrap_or_default(),
        body_hash: text("body_hash")?,
    };
    request.prepare().map(Box::new).map_err(refusal)
}

/// The response to either, which only takes `POST`.
pub(crate) fn verified(verified: &Verified) -> Response<Full<Bytes>> {
    let mut response = keystone::body(StatusCode::OK, &Body { token: shape(verified) }, 1);
    if let Some(token) = &verified.token {
        let id = HeaderValue::try_from(token.id.expose());
        let mut id = id.expect("the authority checks issued tokens");
        id.set_sensitive(true);
        response.headers_mut().insert(SUBJECT_TOKEN, id);
    }
    response
}

fn refusal(error: SignatureError) -> Error {
    match error {
        SignatureError::Incomplete => {
            Error::bad_request("The signed request lacks a part that its signature needs.")
                .with_source(error)
        }
        SignatureError::Malformed => Error::unauthenticated().with_source(error),
    }
}

fn signed<'a>(body: &'a Object<'_>) -> Result<&'a Object<'a>, Error> {
    if body.is_empty() {
        return Err(Error::bad_request("The request must have a body."));
    }
    let holds = |node: &&Node<'_>| match node {
        Node::Null => false,
        Node::Object(members) => !members.is_empty(),
        Node::String(text) => !text.is_empty(),
        Node::Other => true,
    };
    match WRAPPERS.into_iter().find_map(|name| body.get(name).filter(holds)) {
        Some(Node::Object(signed)) => Ok(signed),
        _ => Err(Error::unauthenticated()),
    }
}

fn access_key(signed: &Object<'_>) -> Result<AccessKey, Error> {
    match signed.get("access") {
        Some(Node::String(key)) if !key.is_empty() => Ok(AccessKey::from_stored(&**key)),
        None | Some(Node::Null | Node::String(_)) => Err(Error::unauthenticated()),
        Some(_) => Err(Error::bad_request("access must be a string.")),
    }
}

/// A member that must be an object of strings, if it is present.
fn strings(
    members: &Object<'_>,
    name: &'static str,
) -> Result<Option<BTreeMap<String, String>>, Error> {
    let wrong = || Error::bad_request(format!("{name} must be an object of strings."));
    let object = match members.get(name) {
        None | Some(Node::Null) => return Ok(None),
        Some(Node::Object(object)) => object,
        Some(_) => return Err(wrong()),
    };
    let pair = |(name, value): (&_, &_)| match value {
        Node::String(text) => Ok((str::to_owned(name), text.clone().into_owned())),
        _ => Err(wrong()),
    };
    object.iter().map(|(name, value)| pair((&**name, value))).collect::<Result<_, _>>().map(Some)
}

#[derive(Serialize)]
struct Body<'a> {
    token: Token<'a>,
}

#[derive(Serialize)]
struct Token<'a> {
    methods: [&'static str; 1],
    user: Named<'a>,
    audit_ids: Vec<String>,
    expires_at: String,
    issued_at: String,
    project: Named<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_domain: Option<bool>,
    roles: Vec<RoleShape<'a>>,
    catalog: &'a Value,
    #[serde(rename = "OS-TRUST:trust", skip_serializing_if = "Option::is_none")]
    trust: Option<Value>,
    #[serde(rename = "OS-OAUTH1", skip_serializing_if = "Option::is_none")]
    oauth1: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_credential: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boundary: Option<Value>,
}

/// A user or a project.
#[derive(Serialize)]
struct Named<'a> {
    domain: DomainShape<'a>,
    id: &'a str,
    name: &'a str,
    /// Null for users, absent for projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_expires_at: Option<()>,
}

#[derive(Serialize)]
struct DomainShape<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct RoleShape<'a> {
    id: &'a str,
    name: &'a str,
}

const NO_CATALOG: &Value = &Value::Array(Vec::new());

fn shape(verified: &Verified) -> Token<'_> {
    let Verified { signer, issued_at, expires_at, token } = verified;
    let (mut trust, mut oauth1, mut application_credential) = (None, None, None);
    match &signer.delegation {
        Some(Delegation::Trust { id }) => trust = Some(json!({ "id": id })),
        Some(Delegation::AccessToken { id }) => oauth1 = Some(json!({ "access_token_id": id })),
        Some(Delegation::ApplicationCredential { id, restricted }) => {
            application_credential = Some(json!({ "id": id, "restricted": restricted }));
        }
        Some(Delegation::Ec2Credential | Delegation::Other) | None => {}
    }
    let (user, project) = (&signer.user, &signer.project);
    Token {
        methods: ["ec2credential"],
        user: Named {
            domain: domain(&user.domain),
            id: user.id.as_str(),
            name: &user.name,
            password_expires_at: Some(()),
        },
        audit_ids: token.as_ref().map_or_else(|| vec![audit_id()], |it| it.audit_ids.clone()),
        expires_at: timestamp(*expires_at),
        issued_at: timestamp(*issued_at),
        project: Named {
            domain: domain(&project.domain),
            id: project.id.as_str(),
            name: &project.name,
            password_expires_at: None,
        },
        is_domain: trust.is_none().then_some(false),
        roles: signer.roles.iter().map(role).collect(),
        catalog: token.as_ref().map_or(NO_CATALOG, |token| &token.catalog),
        trust,
        oauth1,
        application_credential,
        boundary: signer
            .boundary
            .as_ref()
            .map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))),
    }
}

fn role(role: &Role) -> RoleShape<'_> {
    RoleShape { id: &role.id, name: &role.name }
}

fn domain(domain: &Domain) -> DomainShape<'_> {
    DomainShape { id: &domain.id, name: &domain.name }
}

/// A random id in Keystone's form. It need not be secret.
fn audit_id() -> String {
    BASE64URL_NOPAD.encode(&rand::rng().random::<[u8; 16]>())
}

/// `2026-01-02T03:04:05.000000Z`.
fn timestamp(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let ((year, month, day), (hour, minute, second)) = (time.to_calendar_date(), time.to_hms());
    let (month, micros) = (u8::from(month), time.microsecond());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_have_microseconds_and_are_utc() {
        let time = UNIX_EPOCH + Duration::from_micros(1_767_323_045_000_001);
        assert_eq!(timestamp(time), "2026-01-02T03:04:05.000001Z");
    }
}
