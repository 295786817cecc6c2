//! The container-mode Credentials Management API of IBM Cloud Object Storage.
//!
//! | | method and path | answer |
//! |---|---|---|
//! | I1 | `POST /credentials` | 201, the key with its secret |
//! | I2 | `GET /credentials` | 200, a page of keys |
//! | I3 | `GET /credentials/{access}` | 200, the key |
//! | I4 | `PATCH /credentials/{access}` | 200, the changed key |
//! | I5 | `DELETE /credentials/{access}` | 204 |
//!
//! All with and without a trailing slash. The key's id is its access key.

use bytes::Bytes;
use http::{Method, Response, request::Parts};
use http_body_util::Full;

use super::{Moment, Routed, path};
use crate::{
    authority::{Command, KeyCommand, Outcome},
    domain::AccessKey,
    error::Error,
};

mod parse;
mod render;

/// Where the dialect lives when the app does not say otherwise.
pub(super) const PREFIX: &str = "/credentials";

const COLLECTION: &str = "GET, POST";
const MEMBER: &str = "DELETE, GET, PATCH";

/// One matched request.
#[derive(Debug)]
pub(crate) struct Exchange {
    operation: Operation,
}

#[derive(Debug)]
enum Operation {
    Create,
    Delete(AccessKey),
    List,
    /// On a path of ours that cannot be answered, whoever asks.
    Refused {
        allow: &'static str,
    },
    Show(AccessKey),
    Update(AccessKey),
}

pub(super) fn route(prefix: &str, method: &Method, path: &str) -> Routed<Exchange> {
    let Some(rest) = path::after_prefix(path, prefix) else { return Routed::NotOurs };
    let operation = match rest.strip_prefix('/').unwrap_or(rest) {
        "" => match *method {
            Method::GET => Operation::List,
            Method::POST => Operation::Create,
            _ => return Operation::Refused { allow: COLLECTION }.wrong_method(),
        },
        rest => {
            let id = rest.strip_suffix('/').unwrap_or(rest);
            if id.is_empty() || id.contains('/') {
                return Routed::NotOurs;
            }
            let id = match path::decode_segment(id) {
                Ok(id) => AccessKey::from_stored(id),
                Err(error) => {
                    return Routed::Refused(Operation::Refused { allow: MEMBER }.into(), error);
                }
            };
            match *method {
                Method::DELETE => Operation::Delete(id),
                Method::GET => Operation::Show(id),
                Method::PATCH => Operation::Update(id),
                _ => return Operation::Refused { allow: MEMBER }.wrong_method(),
            }
        }
    };
    Routed::Matched(operation.into())
}

impl Exchange {
    /// Whether the operation takes a body.
    pub(super) fn takes_body(&self) -> bool {
        matches!(self.operation, Operation::Create | Operation::Update(_))
    }

    /// The request in domain words; the body is empty for operations that take none.
    pub(super) fn parse(&self, head: &Parts, body: &[u8]) -> Result<Command, Error> {
        let command = match &self.operation {
            Operation::Create => parse::create(head, body)?,
            Operation::Delete(access_key) => KeyCommand::Delete(access_key.clone()),
            Operation::List => parse::list(head)?,
            Operation::Refused { .. } => unreachable!("refused before it is parsed"),
            Operation::Show(access_key) => KeyCommand::Show(access_key.clone()),
            Operation::Update(access_key) => parse::update(access_key, head, body)?,
        };
        Ok(Command::Key(command))
    }

    pub(super) fn render(
        &self,
        result: Result<&Outcome, &Error>,
        moment: &Moment<'_>,
    ) -> Response<Full<Bytes>> {
        match result {
            Ok(outcome) => render::outcome(outcome, moment),
            Err(error) => render::error(error, self.operation.allow(), moment),
        }
    }
}

impl Operation {
    fn wrong_method(self) -> Routed<Exchange> {
        Routed::Refused(self.into(), Error::method_not_allowed())
    }

    /// The methods of the path, for `Allow`.
    fn allow(&self) -> &'static str {
        match self {
            Self::Create | Self::List => COLLECTION,
            Self::Delete(_) | Self::Show(_) | Self::Update(_) => MEMBER,
            Self::Refused { allow } => allow,
        }
    }
}

impl From<Operation> for Exchange {
    fn from(operation: Operation) -> Self {
        Self { operation }
    }
}
