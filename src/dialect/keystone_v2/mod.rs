//! OpenStack Identity v2.0: OS-KSADM, OS-KSEC2 and OS-KSS3.
//!
//! | method and path under `/v2.0/users/{user}` | response |
//! |---|---|
//! | `GET /OS-KSADM/credentials` | 200, a page of the user's credentials |
//! | `POST /OS-KSADM/credentials` | 201, the grant |
//! | `GET /OS-KSADM/credentials/{type}` | 200, the grant |
//! | `POST /OS-KSADM/credentials/{type}` | 200, the changed grant |
//! | `DELETE /OS-KSADM/credentials/{type}` | 204 |
//! | `GET /OS-KSADM/credentials/{type}/{type}` | 200, a page of one type |
//! | the same under `/OS-KSS3/credentials`, for S3 credentials only | |
//!
//! `OS-OS-KSS3` is an older name of `OS-KSS3`. A trailing slash changes nothing. A last
//! segment that ends in `.json` or `.xml` chooses the format of the response, before
//! `Accept` does. If a path has two types, they must be the same.

use bytes::Bytes;
use http::{Method, Response, request::Parts};
use http_body_util::Full;

use super::{
    context::RenderContext,
    links,
    media::{self, ContentType, Format},
    path,
    routed::Routed,
    v2_names,
};
use crate::{
    audit::AuditAction,
    authority::{Grant, GrantCommand, ListGrants, Outcome},
    domain::{Slot, UserId},
    error::{Error, ErrorKind},
    meter::Endpoint,
};

mod entry;
mod json;
mod render;
mod xml;

/// The default prefix.
pub(super) const PREFIX: &str = "/v2.0";

/// An operation of the dialect.
#[derive(Debug)]
pub(crate) struct Operation {
    user_id: String,
    /// Whether the path is of OS-KSS3, which is about S3 credentials only.
    s3_only: bool,
    call: Call,
}

#[derive(Debug)]
enum Call {
    Create,
    Delete(Type),
    List,
    ListByType(Type, Type),
    Show(Type),
    Update(Type),
}

/// The `{type}` of a path; `None` for an unknown type.
type Type = Option<Slot>;

/// Routes the rest of a path after a prefix: `""`, or text that starts with a slash.
pub(super) fn route(method: &Method, rest: &str) -> Routed<Frame, Operation> {
    let Some((target, suffix)) = Target::split(rest) else { return Routed::NotOurs };
    let frame = Frame { suffix, allow: target.allow() };
    Routed::Ours(frame, target.operation(method))
}

/// The segments of a path of the dialect, as the client sent them.
struct Target<'a> {
    user_id: &'a str,
    s3_only: bool,
    types: (Option<&'a str>, Option<&'a str>),
}

impl<'a> Target<'a> {
    fn split(rest: &'a str) -> Option<(Self, Option<Format>)> {
        let rest = rest.strip_prefix("/users/")?;
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

    fn operation(&self, method: &Method) -> Result<Operation, Error> {
        let user_id = path::decode_segment(self.user_id)?;
        let slot = |name: &str| {
            let slot = v2_names::slot_of_path(&path::decode_segment(name)?);
            Ok::<Type, Error>(slot.filter(|slot| !self.s3_only || *slot == Slot::S3))
        };
        let call = match (method, self.types) {
            (&Method::GET, (None, _)) => Call::List,
            (&Method::POST, (None, _)) => Call::Create,
            (&Method::GET, (Some(name), None)) => Call::Show(slot(name)?),
            (&Method::POST, (Some(name), None)) => Call::Update(slot(name)?),
            (&Method::DELETE, (Some(name), None)) => Call::Delete(slot(name)?),
            (&Method::GET, (Some(outer), Some(inner))) => {
                Call::ListByType(slot(outer)?, slot(inner)?)
            }
            _ => return Err(Error::method_not_allowed()),
        };
        Ok(Operation { user_id, s3_only: self.s3_only, call })
    }
}

impl Operation {
    /// Returns what the operation changes. `None` if it changes nothing.
    pub(super) fn change(&self) -> Option<AuditAction> {
        match self.call {
            Call::Create => Some(AuditAction::Create),
            Call::Delete(_) => Some(AuditAction::Delete),
            Call::List | Call::ListByType(..) | Call::Show(_) => None,
            Call::Update(_) => Some(AuditAction::Update),
        }
    }

    /// The operation, for metrics.
    pub(super) fn endpoint(&self) -> Endpoint {
        match self.call {
            Call::Create => Endpoint::V2Create,
            Call::Delete(_) => Endpoint::V2Delete,
            Call::List | Call::ListByType(..) => Endpoint::V2List,
            Call::Show(_) => Endpoint::V2Show,
            Call::Update(_) => Endpoint::V2Update,
        }
    }

    pub(super) fn takes_body(&self) -> bool {
        matches!(self.call, Call::Create | Call::Update(_))
    }

    pub(super) fn parse(&self, head: &Parts, body: &[u8]) -> Result<GrantCommand, Error> {
        // No user has an invalid id.
        let no_such_user = |_| Error::new(ErrorKind::NotFound, "No such user.");
        let user_id = UserId::new(&*self.user_id).map_err(no_such_user)?;
        Ok(match self.call {
            Call::Create => GrantCommand::Create { user_id, grant: self.read(head, body)? },
            Call::Delete(slot) => GrantCommand::Delete { user_id, slot: known(slot)? },
            Call::List => {
                let slot = self.s3_only.then_some(Slot::S3);
                GrantCommand::List(list(user_id, slot, head)?)
            }
            Call::ListByType(outer, inner) => {
                let slot = known(outer.filter(|_| outer == inner))?;
                GrantCommand::List(list(user_id, Some(slot), head)?)
            }
            Call::Show(slot) => GrantCommand::Show { user_id, slot: known(slot)? },
            Call::Update(slot) => {
                let (slot, grant) = (known(slot)?, self.read(head, body)?);
                if grant.slot() != slot {
                    return Err(Error::bad_request("The body is of another type than the path."));
                }
                GrantCommand::Update { user_id, grant }
            }
        })
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
        let grant = parsed.into_grant()?;
        if self.s3_only && grant.slot() != Slot::S3 {
            return Err(Error::bad_request("Only S3 credentials are granted here."));
        }
        Ok(grant)
    }
}

/// Renders the responses to a request.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The format that the path asks for.
    suffix: Option<Format>,
    /// The methods of the path, for `Allow`.
    allow: &'static str,
}

impl Frame {
    pub(super) fn outcome(
        &self,
        outcome: &Outcome,
        context: &RenderContext<'_>,
    ) -> Response<Full<Bytes>> {
        render::outcome(outcome, self.format(context), context)
    }

    pub(super) fn error(
        &self,
        error: &Error,
        context: &RenderContext<'_>,
    ) -> Response<Full<Bytes>> {
        render::fault(error, self.format(context), self.allow, context)
    }

    fn format(&self, context: &RenderContext<'_>) -> Format {
        self.suffix.unwrap_or_else(|| media::preferred(&context.head.headers))
    }
}

fn list(user_id: UserId, slot: Option<Slot>, head: &Parts) -> Result<ListGrants, Error> {
    let (marker, limit) = links::page(head)?;
    Ok(ListGrants { user_id, slot, marker, limit })
}

fn known(slot: Type) -> Result<Slot, Error> {
    slot.ok_or_else(|| Error::new(ErrorKind::NotFound, "No such type of credential."))
}
