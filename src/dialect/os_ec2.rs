//! OS-EC2: a user's key pairs, under `/v3` and, as an alias, `/v2.0`.
//!
//! | method and path under `/users/{user}` | response |
//! |---|---|
//! | `GET /credentials/OS-EC2` | 200, the user's key pairs |
//! | `POST /credentials/OS-EC2` | 201, a new key pair |
//! | `GET /credentials/OS-EC2/{access}` | 200, the key pair |
//! | `DELETE /credentials/OS-EC2/{access}` | 204 |
//! | `POST /credentials/OS-EC2/{access}/rotate` | 201, a new key pair; 200, the record with another key pair |
//! | the same under `/v2.0` | |
//!
//! A list longer than a page has a `next` link.

use std::{fmt, time::SystemTime};

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use http_body_util::Full;
use serde::Serialize;

use super::{
    body::{Each, SelfLink},
    context::RenderContext,
    json::{self, Node},
    keystone,
    links::{self, Encoded, Links},
    path,
    routed::Routed,
    terms, v2_names,
};
use crate::{
    audit::AuditAction,
    authority::{CreateEc2, Ec2Command, ListEc2, Outcome, STATUS, View, wrong_status},
    domain::{AccessKey, Delegation, ProjectId, SecretKey, Slot, Status, UserId},
    error::{Error, ErrorKind},
    meter::Endpoint,
};

const COLLECTION: &str = "GET, HEAD, OPTIONS, POST";
const MEMBER: &str = "DELETE, GET, HEAD, OPTIONS";
const ROTATION: &str = "OPTIONS, POST";

/// An operation of the dialect.
#[derive(Debug)]
pub(crate) struct Operation {
    user_id: String,
    call: Call,
}

#[derive(Debug)]
enum Call {
    Create,
    Delete(AccessKey),
    List,
    Rotate(AccessKey),
    Show(AccessKey),
}

/// Routes the rest of a path after a prefix: `""`, or text that starts with a slash.
pub(super) fn route(prefix: &str, method: &Method, rest: &str) -> Routed<Frame, Operation> {
    let Some(rest) = rest.strip_prefix("/users/") else { return Routed::NotOurs };
    let mut segments = rest.trim_end_matches('/').split('/');
    let user_id = segments.next().filter(|id| !id.is_empty());
    let ours = segments.next() == Some("credentials") && segments.next() == Some("OS-EC2");
    let access_key = segments.next();
    let last = segments.next();
    let rotates = last == Some(terms::ROTATE);
    let (Some(user_id), true, None, true) =
        (user_id, ours, segments.next(), rotates || last.is_none())
    else {
        return Routed::NotOurs;
    };
    if access_key == Some("") {
        return Routed::NotOurs;
    }
    let allow = match access_key {
        Some(_) if rotates => ROTATION,
        Some(_) => MEMBER,
        None => COLLECTION,
    };
    if *method == Method::OPTIONS {
        return Routed::Options(allow);
    }
    let operation = Operation::new(method, user_id, access_key, rotates);
    let (action, user_id) = match &operation {
        Ok(operation) => (operation.action(), operation.user_id.clone()),
        Err(_) => ("", String::new()),
    };
    let frame = keystone::Frame::new(prefix, method, allow, action);
    Routed::Ours(Frame { frame, user_id }, operation)
}

impl Operation {
    fn new(
        method: &Method,
        user_id: &str,
        access_key: Option<&str>,
        rotates: bool,
    ) -> Result<Self, Error> {
        let user_id = path::decode_segment(user_id)?;
        let access_key = access_key.map(path::decode_segment).transpose()?;
        let call = match (keystone::routed_method(method), access_key) {
            (&Method::GET, None) => Call::List,
            (&Method::POST, None) => Call::Create,
            (&Method::POST, Some(key)) if rotates => Call::Rotate(AccessKey::from_stored(key)),
            _ if rotates => return Err(Error::method_not_allowed()),
            (&Method::GET, Some(key)) => Call::Show(AccessKey::from_stored(key)),
            (&Method::DELETE, Some(key)) => Call::Delete(AccessKey::from_stored(key)),
            _ => return Err(Error::method_not_allowed()),
        };
        Ok(Self { user_id, call })
    }

    /// Returns what the operation changes. `None` if it changes nothing.
    pub(super) fn change(&self) -> Option<AuditAction> {
        match self.call {
            Call::Create => Some(AuditAction::Create),
            Call::Delete(_) => Some(AuditAction::Delete),
            Call::List | Call::Show(_) => None,
            Call::Rotate(_) => Some(AuditAction::Rotate),
        }
    }

    /// The operation, for metrics.
    pub(super) fn endpoint(&self) -> Endpoint {
        match self.call {
            Call::Create => Endpoint::OsEc2Create,
            Call::Delete(_) => Endpoint::OsEc2Delete,
            Call::List => Endpoint::OsEc2List,
            Call::Rotate(_) => Endpoint::OsEc2Rotate,
            Call::Show(_) => Endpoint::OsEc2Show,
        }
    }

    pub(super) fn takes_body(&self) -> bool {
        matches!(self.call, Call::Create | Call::Rotate(_))
    }

    pub(super) fn parse(&self, head: &Parts, body: &[u8]) -> Result<Ec2Command, Error> {
        // No user has an invalid id.
        let no_such_user = |_| Error::new(ErrorKind::NotFound, "No such user.");
        let user_id = UserId::new(&*self.user_id).map_err(no_such_user)?;
        Ok(match &self.call {
            Call::Create => Ec2Command::Create(create(user_id, head, body)?),
            Call::Delete(access_key) => {
                Ec2Command::Delete { user_id, access_key: access_key.clone() }
            }
            Call::List => {
                let (marker, limit) = links::page(head)?;
                let terms = terms::filter(head.uri.query())?;
                Ec2Command::List(ListEc2 { user_id, marker, limit, terms })
            }
            Call::Rotate(access_key) => {
                let overlap = terms::overlap(head, body)?;
                Ec2Command::Rotate { user_id, access_key: access_key.clone(), overlap }
            }
            Call::Show(access_key) => Ec2Command::Show { user_id, access_key: access_key.clone() },
        })
    }

    /// Keystone's name of the operation.
    fn action(&self) -> &'static str {
        match self.call {
            Call::Create => "identity:ec2_create_credential",
            Call::Delete(_) => "identity:ec2_delete_credential",
            Call::List => "identity:ec2_list_credentials",
            Call::Rotate(_) => "identity:update_credential",
            Call::Show(_) => "identity:ec2_get_credential",
        }
    }
}

/// Renders the responses to a request.
#[derive(Debug)]
pub(crate) struct Frame {
    frame: keystone::Frame,
    /// The user in the path, for links; empty if the request is refused as it stands.
    user_id: String,
}

impl Frame {
    pub(super) fn outcome(
        &self,
        outcome: &Outcome,
        context: &RenderContext<'_>,
    ) -> Response<Full<Bytes>> {
        let base = &*self.frame.base(context);
        let one = |status, view| {
            self.frame.body(status, &One { credential: shape(view, base, context.now) }, 1)
        };
        match outcome {
            Outcome::Created(view) => one(StatusCode::CREATED, view),
            Outcome::Deleted => keystone::empty(StatusCode::NO_CONTENT),
            Outcome::Listed(listing) => {
                let views = &*listing.views;
                let credentials = Each { views, shape: |view| shape(view, base, context.now) };
                let path = Url { base, user_id: &self.user_id, access: None }.to_string();
                let links = Links::new(path, context.head.uri.query(), listing.next.as_deref());
                self.frame.body(StatusCode::OK, &Many { credentials, links }, views.len())
            }
            Outcome::Shown(view) | Outcome::Updated(view) => one(StatusCode::OK, view),
        }
    }

    pub(super) fn error(
        &self,
        error: &Error,
        context: &RenderContext<'_>,
    ) -> Response<Full<Bytes>> {
        self.frame.error(error, context)
    }
}

#[derive(Serialize)]
struct One<'a> {
    credential: Shape<'a>,
}

#[derive(Serialize)]
struct Many<T> {
    credentials: T,
    links: Links,
}

#[derive(Serialize)]
struct Shape<'a> {
    user_id: &'a str,
    tenant_id: Option<&'a str>,
    access: &'a str,
    secret: Option<&'a str>,
    trust_id: Option<&'a str>,
    links: SelfLink<Url<'a>>,
    #[serde(flatten)]
    terms: terms::Shape<'a>,
}

/// The URL of a user's key pairs, or of one of them.
struct Url<'a> {
    base: &'a str,
    user_id: &'a str,
    access: Option<&'a str>,
}

impl fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, user_id, access } = *self;
        write!(f, "{base}/users/{}/credentials/OS-EC2", Encoded(user_id))?;
        access.map_or(Ok(()), |access| write!(f, "/{}", Encoded(access)))
    }
}

fn shape<'a>(view: &'a View, base: &'a str, now: SystemTime) -> Shape<'a> {
    let credential = &view.credential;
    let user_id = credential.user_id.as_str();
    let access = credential.access_key.as_ref().map_or("", AccessKey::as_str);
    let trust_id = match &credential.delegation {
        Some(Delegation::Trust { id }) => Some(&**id),
        _ => None,
    };
    Shape {
        user_id,
        tenant_id: credential.project_id.as_ref().map(ProjectId::as_str),
        access,
        secret: credential.secret_key().filter(|_| view.shows_secret()).map(SecretKey::expose),
        trust_id,
        links: SelfLink(Url { base, user_id, access: Some(access) }),
        terms: terms::Shape::of(credential, now),
    }
}

/// Parses the body of a create: the project, the status and the terms. A body may have one of
/// v2's wrappers around the members.
fn create(user_id: UserId, head: &Parts, text: &[u8]) -> Result<CreateEc2, Error> {
    let body = keystone::read(head, text)?;
    let wrapped = body.iter().find_map(|(name, node)| match node {
        Node::Object(members) if v2_names::slot_of_root(name) == Some(Slot::Ec2) => {
            Some((&**name, members))
        }
        _ => None,
    });
    json::refuse_delegation(&body)?;
    let (place, members) = match wrapped {
        Some((name, members)) => (vec![name], members),
        None => (Vec::new(), &body),
    };
    json::refuse_delegation(members)?;
    let id = json::optional_string(members, "tenant_id")?;
    let status = json::optional_string(members, STATUS)?;
    let status = status.map(|word| Status::from_word(word).ok_or_else(wrong_status)).transpose()?;
    Ok(CreateEc2 {
        user_id,
        project_id: id.and_then(|id| ProjectId::new(id).ok()),
        status: status.unwrap_or_default(),
        terms: terms::given(members, text, &place)?,
    })
}
