//! OS-EC2: a user's key pairs, under `/v3` and, as an alias, `/v2.0`.
//!
//! | method and path under `/users/{user}` | response |
//! |---|---|
//! | `GET /credentials/OS-EC2` | 200, the user's key pairs |
//! | `POST /credentials/OS-EC2` | 201, a new key pair |
//! | `GET /credentials/OS-EC2/{access}` | 200, the key pair |
//! | `DELETE /credentials/OS-EC2/{access}` | 204 |
//! | the same under `/v2.0` | |
//!
//! A list longer than a page has a `next` link.

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use http_body_util::Full;
use serde::Serialize;

use super::{
    context::RenderContext,
    json::{self, Node},
    keystone,
    links::{self, Links},
    path,
    routed::Routed,
    v2_names,
};
use crate::{
    authority::{CreateEc2, Ec2Command, ListEc2, Outcome, View},
    domain::{AccessKey, Delegation, ProjectId, SecretKey, Slot, UserId},
    error::{Error, ErrorKind},
};

const COLLECTION: &str = "GET, HEAD, OPTIONS, POST";
const MEMBER: &str = "DELETE, GET, HEAD, OPTIONS";

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
    Show(AccessKey),
}

/// Routes the rest of a path after a prefix: `""`, or text that starts with a slash.
pub(super) fn route(prefix: &str, method: &Method, rest: &str) -> Routed<Frame, Operation> {
    let Some(rest) = rest.strip_prefix("/users/") else { return Routed::NotOurs };
    let mut segments = rest.trim_end_matches('/').split('/');
    let user_id = segments.next().filter(|id| !id.is_empty());
    let ours = segments.next() == Some("credentials") && segments.next() == Some("OS-EC2");
    let access_key = segments.next();
    let (Some(user_id), true, None) = (user_id, ours, segments.next()) else {
        return Routed::NotOurs;
    };
    if access_key == Some("") {
        return Routed::NotOurs;
    }
    let allow = if access_key.is_some() { MEMBER } else { COLLECTION };
    if *method == Method::OPTIONS {
        return Routed::Options(allow);
    }
    let operation = Operation::new(method, user_id, access_key);
    let (action, user_id) = match &operation {
        Ok(operation) => (operation.action(), operation.user_id.clone()),
        Err(_) => ("", String::new()),
    };
    let frame = keystone::Frame::new(prefix, method, allow, action);
    Routed::Ours(Frame { frame, user_id }, operation)
}

impl Operation {
    fn new(method: &Method, user_id: &str, access_key: Option<&str>) -> Result<Self, Error> {
        let user_id = path::decode_segment(user_id)?;
        let access_key = access_key.map(path::decode_segment).transpose()?;
        let call = match (keystone::routed_method(method), access_key) {
            (&Method::GET, None) => Call::List,
            (&Method::POST, None) => Call::Create,
            (&Method::GET, Some(key)) => Call::Show(AccessKey::from_stored(key)),
            (&Method::DELETE, Some(key)) => Call::Delete(AccessKey::from_stored(key)),
            _ => return Err(Error::method_not_allowed()),
        };
        Ok(Self { user_id, call })
    }

    pub(super) fn takes_body(&self) -> bool {
        matches!(self.call, Call::Create)
    }

    pub(super) fn parse(&self, head: &Parts, body: &[u8]) -> Result<Ec2Command, Error> {
        // No user has an invalid id.
        let no_such_user = |_| Error::new(ErrorKind::NotFound, "No such user.");
        let user_id = UserId::new(&*self.user_id).map_err(no_such_user)?;
        Ok(match &self.call {
            Call::Create => {
                Ec2Command::Create(CreateEc2 { user_id, project_id: project_id(head, body)? })
            }
            Call::Delete(access_key) => {
                Ec2Command::Delete { user_id, access_key: access_key.clone() }
            }
            Call::List => {
                let (marker, limit) = links::page(head)?;
                Ec2Command::List(ListEc2 { user_id, marker, limit })
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
        let base = self.frame.base(context);
        let one = |view| One { credential: shape(view, &base) };
        match outcome {
            Outcome::Created(view) => self.frame.body(StatusCode::CREATED, &one(view)),
            Outcome::Deleted => keystone::empty(StatusCode::NO_CONTENT),
            Outcome::Listed(listing) => {
                let credentials = listing.views.iter().map(|view| shape(view, &base)).collect();
                let user_id = links::encoded(&self.user_id);
                let path = format!("{base}/users/{user_id}/credentials/OS-EC2");
                let links = Links::new(path, context.head.uri.query(), listing.next.as_deref());
                self.frame.body(StatusCode::OK, &Many { credentials, links })
            }
            Outcome::Shown(view) | Outcome::Updated(view) => {
                self.frame.body(StatusCode::OK, &one(view))
            }
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
struct Many<'a> {
    credentials: Vec<Shape<'a>>,
    links: Links,
}

#[derive(Serialize)]
struct Shape<'a> {
    user_id: &'a str,
    tenant_id: Option<&'a str>,
    access: &'a str,
    secret: Option<&'a str>,
    trust_id: Option<&'a str>,
    links: SelfLink,
}

#[derive(Serialize)]
struct SelfLink {
    #[serde(rename = "self")]
    own: String,
}

fn shape<'a>(view: &'a View, base: &str) -> Shape<'a> {
    let credential = &view.credential;
    let user_id = credential.user_id.as_str();
    let access = credential.access_key.as_ref().map_or("", AccessKey::as_str);
    let trust_id = match &credential.delegation {
        Some(Delegation::Trust { id }) => Some(&**id),
        _ => None,
    };
    let (owner, key) = (links::encoded(user_id), links::encoded(access));
    Shape {
        user_id,
        tenant_id: credential.project_id.as_ref().map(ProjectId::as_str),
        access,
        secret: credential.secret_key().filter(|_| view.secret_visible).map(SecretKey::expose),
        trust_id,
        links: SelfLink { own: format!("{base}/users/{owner}/credentials/OS-EC2/{key}") },
    }
}

/// The project that a body names, or `None` if it names no valid project. A body may have
/// one of v2's wrappers around the member.
fn project_id(head: &Parts, body: &[u8]) -> Result<Option<ProjectId>, Error> {
    let body = keystone::read(head, body)?;
    let wrapped = body.iter().find_map(|(name, node)| match node {
        Node::Object(members) if v2_names::slot_of_root(name) == Some(Slot::Ec2) => Some(members),
        _ => None,
    });
    json::refuse_delegation(&body)?;
    if let Some(members) = wrapped {
        json::refuse_delegation(members)?;
    }
    let members = wrapped.unwrap_or(&body);
    let id = json::optional_string(members, "tenant_id")?;
    Ok(id.and_then(|id| ProjectId::new(id).ok()))
}
