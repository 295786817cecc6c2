//! The container-mode Credentials Management API of IBM Cloud Object Storage.
//!
//! | method and path | response |
//! |---|---|
//! | `POST /credentials` | 201, the key with its secret |
//! | `GET /credentials` | 200, a page of keys |
//! | `GET /credentials/{access}` | 200, the key |
//! | `PATCH /credentials/{access}` | 200, the changed key |
//! | `DELETE /credentials/{access}` | 204 |
//! | `POST /credentials/{access}/rotate` | 201, a new key with its secret; 200, the key with another secret |
//!
//! A trailing slash changes nothing. The key's id is its access key.

use bytes::Bytes;
use http::{Method, Response, request::Parts};
use http_body_util::Full;

use super::{context::RenderContext, path, routed::Routed, terms};
use crate::{
    audit::AuditAction, authority::KeyCommand, domain::AccessKey, error::Error, meter::Endpoint,
};

mod parse;
mod render;

pub(super) use render::outcome;

/// The default prefix.
pub(super) const PREFIX: &str = "/credentials";

const COLLECTION: &str = "GET, POST";
const MEMBER: &str = "DELETE, GET, PATCH";
const ROTATION: &str = "POST";

/// An operation of the dialect.
#[derive(Debug)]
pub(crate) enum Operation {
    Create,
    Delete(AccessKey),
    List,
    Rotate(AccessKey),
    Show(AccessKey),
    Update(AccessKey),
}

/// Routes the rest of a path after a prefix: `""`, or text that starts with a slash.
pub(super) fn route(method: &Method, rest: &str) -> Routed<Frame, Operation> {
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    if rest.is_empty() {
        let operation = match *method {
            Method::GET => Ok(Operation::List),
            Method::POST => Ok(Operation::Create),
            _ => Err(Error::method_not_allowed()),
        };
        return Routed::Ours(Frame { allow: COLLECTION }, operation);
    }
    let id = rest.strip_suffix('/').unwrap_or(rest);
    let (id, rotates) = match id.split_once('/') {
        Some((id, terms::ROTATE)) => (id, true),
        Some(_) => return Routed::NotOurs,
        None => (id, false),
    };
    if id.is_empty() {
        return Routed::NotOurs;
    }
    let id = path::decode_segment(id).map(AccessKey::from_stored);
    let operation = id.and_then(|id| match *method {
        Method::POST if rotates => Ok(Operation::Rotate(id)),
        _ if rotates => Err(Error::method_not_allowed()),
        Method::DELETE => Ok(Operation::Delete(id)),
        Method::GET => Ok(Operation::Show(id)),
        Method::PATCH => Ok(Operation::Update(id)),
        _ => Err(Error::method_not_allowed()),
    });
    Routed::Ours(Frame { allow: if rotates { ROTATION } else { MEMBER } }, operation)
}

impl Operation {
    /// Returns what the operation changes. `None` if it changes nothing.
    pub(super) fn change(&self) -> Option<AuditAction> {
        match self {
            Self::Create => Some(AuditAction::Create),
            Self::Delete(_) => Some(AuditAction::Delete),
            Self::List | Self::Show(_) => None,
            Self::Rotate(_) => Some(AuditAction::Rotate),
            Self::Update(_) => Some(AuditAction::Update),
        }
    }

    /// The operation, for metrics.
    pub(super) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Create => Endpoint::IbmCosCreate,
            Self::Delete(_) => Endpoint::IbmCosDelete,
            Self::List => Endpoint::IbmCosList,
            Self::Rotate(_) => Endpoint::IbmCosRotate,
            Self::Show(_) => Endpoint::IbmCosShow,
            Self::Update(_) => Endpoint::IbmCosUpdate,
        }
    }

    pub(super) fn takes_body(&self) -> bool {
        matches!(self, Self::Create | Self::Rotate(_) | Self::Update(_))
    }

    pub(super) fn parse(&self, head: &Parts, body: &[u8]) -> Result<KeyCommand, Error> {
        match self {
            Self::Create => parse::create(head, body),
            Self::Delete(access_key) => Ok(KeyCommand::Delete(access_key.clone())),
            Self::List => parse::list(head),
            Self::Rotate(access_key) => Ok(KeyCommand::Rotate {
                access_key: access_key.clone(),
                overlap: terms::overlap(head, body)?,
            }),
            Self::Show(access_key) => Ok(KeyCommand::Show(access_key.clone())),
            Self::Update(access_key) => parse::update(access_key, head, body),
        }
    }
}

/// Renders the responses to a request.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The methods of the path, for `Allow`.
    allow: &'static str,
}

impl Frame {
    pub(super) fn error(
        &self,
        error: &Error,
        context: &RenderContext<'_>,
    ) -> Response<Full<Bytes>> {
        render::error(error, self.allow, context)
    }
}
