//! OpenStack Identity v2.0: OS-KSADM, OS-KSEC2 and OS-KSS3.
//!
//! | | method and path under `/v2.0/users/{user}` | answer |
//! |---|---|---|
//! | K1 | `GET /OS-KSADM/credentials` | 200, a page of the user's credentials |
//! | K2 | `POST /OS-KSADM/credentials` | 201, the grant |
//! | K3 | `GET /OS-KSADM/credentials/{type}` | 200, the grant |
//! | K4 | `POST /OS-KSADM/credentials/{type}` | 200, the changed grant |
//! | K5 | `DELETE /OS-KSADM/credentials/{type}` | 204 |
//! | K6 | `GET /OS-KSADM/credentials/{type}/{type}` | 200, a page of one type |
//! | K7-K12 | the same under `/OS-KSS3/credentials`, for S3 credentials only | |
//!
//! `OS-OS-KSS3` is an older name of `OS-KSS3`. A trailing slash changes nothing;
//! a last segment that ends in `.json` or `.xml` chooses the answer's format,
//! before `Accept` does. In K6 both types are the same one.

use bytes::Bytes;
use http::{Method, Response, request::Parts};
use http_body_util::Full;

use super::{
    Moment, Routed,
    media::{self, ContentType, Format},
    path,
};
use crate::{
    authority::{Command, Grant, GrantCommand, ListGrants, Outcome},
    domain::{Slot, UserId},
    error::{Error, ErrorKind},
};

mod grant;
mod json;
mod names;
mod render;
mod xml;

/// Where the dialect lives when the app does not say otherwise.
pub(super) const PREFIX: &str = "/v2.0";

/// One matched request.
#[derive(Debug)]
pub(crate) struct Exchange {
    user_id: String,
    /// Whether the path is OS-KSS3's, where everything is about S3 credentials.
    s3_only: bool,
    operation: Operation,
    /// The format that the path asks for.
    suffix: Option<Format>,
    /// The methods of the path, for `Allow`.
    allow: &'static str,
}

#[derive(Debug)]
enum Operation {
    Create,
    Delete(Type),
    List,
    ListByType(Type, Type),
    /// On a path of ours that cannot be answered, whoever asks.
    Refused,
    Show(Type),
    Update(Type),
}

/// The `{type}` of a path; `None` if there is no such type.
type Type = Option<Slot>;

pub(super) fn route(prefix: &str, method: &Method, path: &str) -> Routed<Exchange> {
    let Some((target, suffix)) = Target::split(prefix, path) else { return Routed::NotOurs };
    let mut exchange = Exchange {
        user_id: String::new(),
        s3_only: target.s3_only,
        operation: Operation::Refused,
        suffix,
        allow: target.allow(),
    };
    match path::decode_segment(target.user_id) {
        Ok(user_id) => exchange.user_id = user_id,
        Err(error) => return Routed::Refused(exchange, error),
    }
    let slot = |name: &str| {
        let slot = path::decode_segment(name).map(|name| names::slot_of_path(&name));
        slot.map(|slot| slot.filter(|slot| !target.s3_only || *slot == Slot::S3))
    };
    let operation = match (method, target.types) {
        (&Method::GET, (None, _)) => Ok(Operation::List),
        (&Method::POST, (None, _)) => Ok(Operation::Create),
        (&Method::GET, (Some(name), None)) => slot(name).map(Operation::Show),
        (&Method::POST, (Some(name), None)) => slot(name).map(Operation::Update),
        (&Method::DELETE, (Some(name), None)) => slot(name).map(Operation::Delete),
        (&Method::GET, (Some(outer), Some(inner))) => {
            slot(outer).and_then(|outer| Ok(Operation::ListByType(outer, slot(inner)?)))
        }
        _ => Err(Error::method_not_allowed()),
    };
    match operation {
        Ok(operation) => Routed::Matched(Exchange { operation, ..exchange }),
        Err(error) => Routed::Refused(exchange, error),
    }
}

/// The segments of a path that is ours, as written.
struct Target<'a> {
    user_id: &'a str,
    s3_only: bool,
    types: (Option<&'a str>, Option<&'a str>),
}

impl<'a> Target<'a> {
    fn split(prefix: &str, path: &'a str) -> Option<(Self, Option<Format>)> {
        let rest = path::after_prefix(path, prefix)?.strip_prefix("/users/")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (rest, suffix) = match (rest.strip_suffix(".json"), rest.strip_suffix(".xml")) {
            (Some(rest), _) => (rest.strip_suffix('/').unwrap_or(rest), Some(Format::Json)),
            (_, Some(rest)) => (rest.strip_suffix('/').unwrap_or(rest), Some(Format::Xml)),
            (None, None) => (rest, None),
        };
        let mut segments = rest.split('/');
        let user_id = segments.next().filter(|id| !id.is_empty())?;
        let s3_only = match segments.next()? {
            "OS-KSADM" => false,
            "OS-KSS3" | "OS-OS-KSS3" => true,
            _ => return None,
        };
        segments.next().filter(|name| *name == "credentials")?;
        let types = (segments.next(), segments.next());
        let empty = |name: Option<&str>| name.is_some_and(str::is_empty);
        if empty(types.0) || empty(types.1) || segments.next().is_some() {
            return None;
        }
        Some((Self { user_id, s3_only, types }, suffix))
    }

    fn allow(&self) -> &'static str {
        match self.types {
            (None, _) => "GET, POST",
            (Some(_), None) => "DELETE, GET, POST",
            (Some(_), Some(_)) => "GET",
        }
    }
}

impl Exchange {
    /// Whether the operation takes a body.
    pub(super) fn takes_body(&self) -> bool {
        matches!(self.operation, Operation::Create | Operation::Update(_))
    }

    /// The request in domain words; the body is empty for operations that take none.
    pub(super) fn parse(&self, head: &Parts, body: &[u8]) -> Result<Command, Error> {
        // An id that cannot be is nobody's.
        let no_such_user = |_| Error::new(ErrorKind::NotFound, "No such user.");
        let user_id = UserId::new(&*self.user_id).map_err(no_such_user)?;
        let command = match self.operation {
            Operation::Create => GrantCommand::Create { user_id, grant: self.read(head, body)? },
            Operation::Delete(slot) => GrantCommand::Delete { user_id, slot: known(slot)? },
            Operation::List => {
                let slot = self.s3_only.then_some(Slot::S3);
                GrantCommand::List(list(user_id, slot, head)?)
            }
            Operation::ListByType(outer, inner) => {
                let slot = known(outer.filter(|_| outer == inner))?;
                GrantCommand::List(list(user_id, Some(slot), head)?)
            }
            Operation::Refused => unreachable!("refused before it is parsed"),
            Operation::Show(slot) => GrantCommand::Show { user_id, slot: known(slot)? },
            Operation::Update(slot) => {
                let (slot, grant) = (known(slot)?, self.read(head, body)?);
                if grant.slot() != slot {
                    return Err(Error::bad_request("The body is of another type than the path."));
                }
                GrantCommand::Update { user_id, grant }
            }
        };
        Ok(Command::Grant(command))
    }

    pub(super) fn render(
        &self,
        result: Result<&Outcome, &Error>,
        moment: &Moment<'_>,
    ) -> Response<Full<Bytes>> {
        let format = self.suffix.unwrap_or_else(|| media::preferred(&moment.head.headers));
        match result {
            Ok(outcome) => render::outcome(outcome, format, moment),
            Err(error) => render::fault(error, format, self.allow, moment),
        }
    }

    fn read(&self, head: &Parts, body: &[u8]) -> Result<Grant, Error> {
        let parsed = match media::content_type(&head.headers) {
            ContentType::Format(Format::Json) => json::read(body)?,
            ContentType::Format(Format::Xml) => xml::read(body)?,
            ContentType::Missing | ContentType::Other => {
                return Err(Error::new(
                    ErrorKind::UnsupportedMediaType,
                    "The body must be application/json or application/xml.",
                ));
            }
        };
        let grant = grant::check(parsed)?;
        if self.s3_only && grant.slot() != Slot::S3 {
            return Err(Error::bad_request("Only S3 credentials are granted here."));
        }
        Ok(grant)
    }
}

fn list(user_id: UserId, slot: Option<Slot>, head: &Parts) -> Result<ListGrants, Error> {
    let query = head.uri.query();
    let marker = path::query_value(query, "marker")?.filter(|marker| !marker.is_empty());
    Ok(ListGrants { user_id, slot, marker, limit: path::query_limit(query)? })
}

fn known(slot: Type) -> Result<Slot, Error> {
    slot.ok_or_else(|| Error::new(ErrorKind::NotFound, "No such type of credential."))
}
