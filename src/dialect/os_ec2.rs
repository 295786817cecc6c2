//! OS-EC2: a user's key pairs, under `/v3` and, as an alias, under `/v2.0`.
//!
//! | | method and path under `/users/{user}` | answer |
//! |---|---|---|
//! | E1 | `GET /credentials/OS-EC2` | 200, the user's key pairs |
//! | E2 | `POST /credentials/OS-EC2` | 201, a new key pair |
//! | E3 | `GET /credentials/OS-EC2/{access}` | 200, the key pair |
//! | E4 | `DELETE /credentials/OS-EC2/{access}` | 204 |
//! | K13 | the same under `/v2.0` | |
//!
//! A list longer than a page has a `next` link.

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use http_body_util::Full;
use serde::Serialize;

use super::{
    Moment, Routed,
    json::{self, Node},
    keystone::{self, Frame},
    links::{self, Links},
    path,
};
use crate::{
    authority::{Command, CreateEc2, Ec2Command, ListEc2, Outcome, View},
    domain::{AccessKey, Delegation, ProjectId, SecretKey, UserId},
    error::{Error, ErrorKind},
};

const COLLECTION: &str = "GET, HEAD, OPTIONS, POST";
const MEMBER: &str = "DELETE, GET, HEAD, OPTIONS";

/// The wrappers of a v2 body for an EC2 credential.
const V2_ROOTS: [&str; 3] =
    ["OS-KSEC2-ec2Credentials", "OS-KSEC2:ec2Credentials", "ec2Credentials"];

/// One matched request.
#[derive(Debug)]
pub(crate) struct Exchange {
    frame: Frame,
    user_id: String,
    operation: Operation,
}

#[derive(Debug)]
enum Operation {
    Create,
    Delete(AccessKey),
    List,
    /// On a path of ours that cannot be answered, whoever asks.
    Refused,
    Show(AccessKey),
}

/// Routes what follows a prefix; it starts with a slash.
pub(super) fn route(prefix: &str, method: &Method, rest: &str) -> Routed<Exchange> {
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
    let (frame, method) = Frame::new(prefix, method, allow);
    let mut exchange = Exchange { frame, user_id: String::new(), operation: Operation::Refused };
    if *method == Method::OPTIONS {
        return Routed::Options(exchange);
    }
    match path::decode_segment(user_id) {
        Ok(user_id) => exchange.user_id = user_id,
        Err(error) => return Routed::Refused(exchange, error),
    }
    let access_key = access_key.map(path::decode_segment).transpose();
    let access_key = access_key.map(|key| key.map(AccessKey::from_stored));
    exchange.operation = match (method, access_key) {
        (_, Err(error)) => return Routed::Refused(exchange, error),
        (&Method::GET, Ok(None)) => Operation::List,
        (&Method::POST, Ok(None)) => Operation::Create,
        (&Method::GET, Ok(Some(access_key))) => Operation::Show(access_key),
        (&Method::DELETE, Ok(Some(access_key))) => Operation::Delete(access_key),
        _ => return Routed::Refused(exchange, Error::method_not_allowed()),
    };
    Routed::Matched(exchange)
}

impl Exchange {
    /// Whether the operation takes a body.
    pub(super) fn takes_body(&self) -> bool {
        matches!(self.operation, Operation::Create)
    }

    /// The request in domain words; the body is empty for operations that take none.
    pub(super) fn parse(&self, head: &Parts, body: &[u8]) -> Result<Command, Error> {
        // An id that cannot be is nobody's.
        let no_such_user = |_| Error::new(ErrorKind::NotFound, "No such user.");
        let user_id = UserId::new(&*self.user_id).map_err(no_such_user)?;
        let command = match &self.operation {
            Operation::Create => {
                Ec2Command::Create(CreateEc2 { user_id, project_id: project_id(head, body)? })
            }
            Operation::Delete(access_key) => {
                Ec2Command::Delete { user_id, access_key: access_key.clone() }
            }
            Operation::List => {
                let (marker, limit) = links::page(head)?;
                Ec2Command::List(ListEc2 { user_id, marker, limit })
            }
            Operation::Refused => unreachable!("refused before it is parsed"),
            Operation::Show(access_key) => {
                Ec2Command::Show { user_id, access_key: access_key.clone() }
            }
        };
        Ok(Command::Ec2(command))
    }

    pub(super) fn options(&self) -> Response<Full<Bytes>> {
        self.frame.options()
    }

    pub(super) fn render(
        &self,
        result: Result<&Outcome, &Error>,
        moment: &Moment<'_>,
    ) -> Response<Full<Bytes>> {
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => return self.frame.error(error, self.action(), moment),
        };
        let base = self.frame.base(moment);
        match outcome {
            Outcome::Created(view) => {
                self.frame.body(StatusCode::CREATED, &One { credential: shape(view, &base) })
            }
            Outcome::Deleted => Frame::empty(StatusCode::NO_CONTENT),
            Outcome::Listed(listing) => {
                let credentials = listing.views.iter().map(|view| shape(view, &base)).collect();
                let user_id = links::encoded(&self.user_id);
                let path = format!("{base}/users/{user_id}/credentials/OS-EC2");
                let links = Links::new(path, moment.head.uri.query(), listing.next.as_deref());
                self.frame.body(StatusCode::OK, &Many { credentials, links })
            }
            Outcome::Shown(view) | Outcome::Updated(view) => {
                self.frame.body(StatusCode::OK, &One { credential: shape(view, &base) })
            }
            Outcome::Verified(_) => unreachable!("no signature is verified here"),
        }
    }

    /// Keystone's name of the operation.
    fn action(&self) -> &'static str {
        match self.operation {
            Operation::Create => "identity:ec2_create_credential",
            Operation::Delete(_) => "identity:ec2_delete_credential",
            Operation::List => "identity:ec2_list_credentials",
            Operation::Refused => "",
            Operation::Show(_) => "identity:ec2_get_credential",
        }
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

/// The project that a body names; `None` if it names none that could be one.
/// A body with one of v2's wrappers has it inside.
fn project_id(head: &Parts, body: &[u8]) -> Result<Option<ProjectId>, Error> {
    let body = keystone::read(head, body)?;
    let wrapped = V2_ROOTS.iter().find_map(|root| match body.get(*root) {
        Some(Node::Object(members)) => Some(members),
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
