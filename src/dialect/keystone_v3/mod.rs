//! OpenStack Identity v3: credentials, and the verification of signatures.
//!
//! | method and path under `/v3` | response |
//! |---|---|
//! | `GET /credentials` | 200, a page of credentials |
//! | `POST /credentials` | 201, the credential |
//! | `GET /credentials/{id}` | 200, the credential |
//! | `PATCH /credentials/{id}` | 200, the changed credential |
//! | `DELETE /credentials/{id}` | 204 |
//! | `POST /credentials/{id}/rotate` | 201, a new credential; 200, the credential with another key pair |
//! | `POST /ec2tokens` | 200, the signer with a token |
//! | `POST /s3tokens` | 200, the signer |
//!
//! The key pairs of OS-EC2 are in [`os_ec2`](mod@super::os_ec2). Trailing slashes change
//! nothing. `s3tokens` needs a directory, `ec2tokens` also needs an issuer of tokens.

use http::{Method, request::Parts};

use super::{
    keystone::{self, Frame},
    path,
    routed::{Routed, Served, Task},
    terms,
};
use crate::{
    audit::AuditAction,
    authority::{Command, CredentialCommand, SignatureCommand},
    domain::CredentialId,
    error::Error,
    meter::Endpoint,
};

mod parse;
mod render;
mod tokens;

pub(super) use render::outcome;
pub(crate) use tokens::verified;

/// The default prefix.
pub(super) const PREFIX: &str = "/v3";

const COLLECTION: &str = "GET, HEAD, OPTIONS, POST";
const TOKENS: &str = "POST";
const MEMBER: &str = "DELETE, GET, HEAD, OPTIONS, PATCH";
const ROTATION: &str = "OPTIONS, POST";

/// An operation of the dialect.
#[derive(Debug)]
pub(crate) enum Operation {
    Create,
    Delete(CredentialId),
    List,
    Rotate(CredentialId),
    Show(CredentialId),
    Update(CredentialId),
    VerifyEc2,
    VerifyS3,
}

/// Routes the rest of a path after a prefix: `""`, or text that starts with a slash.
pub(super) fn route(
    prefix: &str,
    method: &Method,
    rest: &str,
    served: Served,
) -> Routed<Frame, Operation> {
    let mut segments = rest.trim_end_matches('/').split('/').skip(1);
    let (first, second) = (segments.next(), segments.next());
    let rotates = segments.clone().eq([terms::ROTATE]);
    let segments = (first, second, segments.next());
    let allow = match segments {
        (Some("ec2tokens"), None, _) if served.ec2tokens => TOKENS,
        (Some("s3tokens"), None, _) if served.s3tokens => TOKENS,
        (Some("credentials"), None, _) => COLLECTION,
        (Some("credentials"), Some(id), None) if !id.is_empty() => MEMBER,
        (Some("credentials"), Some(id), Some(_)) if rotates && !id.is_empty() => ROTATION,
        _ => return Routed::NotOurs,
    };
    if *method == Method::OPTIONS {
        return Routed::Options(allow);
    }
    let id = segments.1.map(path::decode_segment).transpose();
    let operation = id.and_then(|id| {
        let id = id.map(CredentialId::from_stored);
        Ok(match (segments.0, keystone::routed_method(method), id) {
            (Some("ec2tokens"), &Method::POST, _) => Operation::VerifyEc2,
            (Some("s3tokens"), &Method::POST, _) => Operation::VerifyS3,
            (Some("credentials"), &Method::GET, None) => Operation::List,
            (Some("credentials"), &Method::POST, None) => Operation::Create,
            (_, &Method::POST, Some(id)) if rotates => Operation::Rotate(id),
            _ if rotates => return Err(Error::method_not_allowed()),
            (_, &Method::DELETE, Some(id)) => Operation::Delete(id),
            (_, &Method::GET, Some(id)) => Operation::Show(id),
            (_, &Method::PATCH, Some(id)) => Operation::Update(id),
            _ => return Err(Error::method_not_allowed()),
        })
    });
    let action = operation.as_ref().map_or("", Operation::action);
    Routed::Ours(Frame::new(prefix, method, allow, action), operation)
}

impl Operation {
    /// Returns what the operation changes. `None` if it changes nothing.
    pub(super) fn change(&self) -> Option<AuditAction> {
        match self {
            Self::Create => Some(AuditAction::Create),
            Self::Delete(_) => Some(AuditAction::Delete),
            Self::List | Self::Show(_) | Self::VerifyEc2 | Self::VerifyS3 => None,
            Self::Rotate(_) => Some(AuditAction::Rotate),
            Self::Update(_) => Some(AuditAction::Update),
        }
    }

    /// The operation, for metrics.
    pub(super) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Create => Endpoint::V3Create,
            Self::Delete(_) => Endpoint::V3Delete,
            Self::List => Endpoint::V3List,
            Self::Rotate(_) => Endpoint::V3Rotate,
            Self::Show(_) => Endpoint::V3Show,
            Self::Update(_) => Endpoint::V3Update,
            Self::VerifyEc2 => Endpoint::V3Ec2Tokens,
            Self::VerifyS3 => Endpoint::V3S3Tokens,
        }
    }

    pub(super) fn takes_body(&self) -> bool {
        match self {
            Self::Create | Self::Rotate(_) | Self::Update(_) | Self::VerifyEc2 | Self::VerifyS3 => {
                true
            }
            Self::Delete(_) | Self::List | Self::Show(_) => false,
        }
    }

    pub(super) fn parse(&self, head: &Parts, body: &[u8]) -> Result<Task, Error> {
        let command = match self {
            Self::Create => CredentialCommand::Create(parse::create(head, body)?),
            Self::Delete(id) => CredentialCommand::Delete(id.clone()),
            Self::List => CredentialCommand::List(parse::list(head)?),
            Self::Rotate(id) => {
                let overlap = terms::overlap(head, body)?;
                CredentialCommand::Rotate { id: id.clone(), overlap }
            }
            Self::Show(id) => CredentialCommand::Show(id.clone()),
            Self::Update(id) => CredentialCommand::Update(parse::update(id, head, body)?),
            Self::VerifyEc2 => {
                return Ok(Task::Verify(SignatureCommand::Ec2(tokens::ec2(head, body))));
            }
            Self::VerifyS3 => {
                return Ok(Task::Verify(SignatureCommand::S3(tokens::s3(head, body))));
            }
        };
        Ok(Task::Run(Command::Credential(command)))
    }

    /// Keystone's name of the operation.
    fn action(&self) -> &'static str {
        match self {
            Self::Create => "identity:create_credential",
            Self::Delete(_) => "identity:delete_credential",
            Self::List => "identity:list_credentials",
            Self::Show(_) => "identity:get_credential",
            Self::Rotate(_) | Self::Update(_) => "identity:update_credential",
            Self::VerifyEc2 => "identity:ec2tokens_validate",
            Self::VerifyS3 => "identity:s3tokens_validate",
        }
    }
}
