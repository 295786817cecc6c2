//! Parses requests into commands, and renders outcomes as responses.
//!
//! Routing a request yields two values: a [`Frame`], which determines how to respond, and an
//! [`Operation`] to carry out, or the error to respond with. Everything here is sync and pure.
//! The table of a dialect's routes is in the docs of its module. No dialect depends on another.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, request::Parts};
use http_body_util::Full;

use crate::{
    audit::AuditAction,
    authority::{Command, Outcome},
    error::{Error, ErrorKind},
    meter::Endpoint,
    origin::RequestId,
};

pub(crate) mod aws_iam;
pub(crate) mod aws_sts;
mod body;
mod context;
mod ibm_cos;
mod json;
mod keystone;
mod keystone_v2;
mod keystone_v3;
mod last_used;
mod links;
mod media;
mod os_ec2;
mod path;
pub(crate) mod query_api;
mod routed;
mod terms;
mod v2_names;

use media::Format;

pub(crate) use self::{
    context::RenderContext,
    keystone::options,
    keystone_v3::verified,
    path::Initials,
    routed::{Routed, Served, Task},
};

/// A wire format that the layer serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// IBM Cloud Object Storage, container mode: `/credentials`.
    ///
    /// Create, list, show, update and delete key pairs, in JSON.
    IbmCos,
    /// OpenStack Identity v2.0 with OS-KSADM, OS-KSEC2 and OS-KSS3:
    /// `/v2.0/users/{user}/OS-KSADM/credentials` and `/OS-KSS3/credentials`.
    ///
    /// Grant, list, get, update and delete, in JSON and XML. OS-EC2, as in v3, is
    /// at `/v2.0/users/{user}/credentials/OS-EC2` too.
    KeystoneV2,
    /// OpenStack Identity v3: `/v3/credentials`,
    /// `/v3/users/{user}/credentials/OS-EC2`, `/v3/s3tokens` and `/v3/ec2tokens`.
    ///
    /// Credentials of every type, key pairs, and the verification of signatures, as in
    /// Keystone 2026.2, in JSON. `s3tokens` needs a directory, and `ec2tokens` also needs an
    /// issuer of tokens; without them the app gets these requests.
    KeystoneV3,
}

impl Dialect {
    /// Every dialect that is served on a path of its own. The [AWS wires](crate::aws) are not.
    pub const ALL: &'static [Self] = &[Self::IbmCos, Self::KeystoneV2, Self::KeystoneV3];

    /// Returns the path of the dialect, unless the builder sets another one:
    /// `/credentials`, `/v2.0` and `/v3`.
    #[must_use]
    pub fn default_prefix(self) -> &'static str {
        match self {
            Self::IbmCos => ibm_cos::PREFIX,
            Self::KeystoneV2 => keystone_v2::PREFIX,
            Self::KeystoneV3 => keystone_v3::PREFIX,
        }
    }

    /// Routes a request. Allocates nothing for requests that pass through.
    pub(crate) fn route(
        self,
        prefix: &str,
        method: &Method,
        path: &str,
        served: Served,
    ) -> Routed<Frame, Operation> {
        let Some(rest) = path::after_prefix(path, prefix) else { return Routed::NotOurs };
        let os_ec2 = || os_ec2::route(prefix, method, rest).map(Frame::OsEc2, Operation::OsEc2);
        match self {
            Self::IbmCos => ibm_cos::route(method, rest).map(Frame::IbmCos, Operation::IbmCos),
            Self::KeystoneV2 => keystone_v2::route(method, rest)
                .map(Frame::KeystoneV2, Operation::KeystoneV2)
                .or_else(os_ec2),
            Self::KeystoneV3 => keystone_v3::route(prefix, method, rest, served)
                .map(Frame::KeystoneV3, Operation::KeystoneV3)
                .or_else(os_ec2),
        }
    }
}

/// The operation of a request.
#[derive(Debug)]
pub(crate) enum Operation {
    IbmCos(ibm_cos::Operation),
    KeystoneV2(keystone_v2::Operation),
    KeystoneV3(keystone_v3::Operation),
    OsEc2(os_ec2::Operation),
}

impl Operation {
    /// Returns what the operation changes. `None` if it changes nothing.
    pub(crate) fn change(&self) -> Option<AuditAction> {
        match self {
            Self::IbmCos(operation) => operation.change(),
            Self::KeystoneV2(operation) => operation.change(),
            Self::KeystoneV3(operation) => operation.change(),
            Self::OsEc2(operation) => operation.change(),
        }
    }

    /// Returns whether the operation takes a body. Other bodies are not read.
    pub(crate) fn takes_body(&self) -> bool {
        match self {
            Self::IbmCos(operation) => operation.takes_body(),
            Self::KeystoneV2(operation) => operation.takes_body(),
            Self::KeystoneV3(operation) => operation.takes_body(),
            Self::OsEc2(operation) => operation.takes_body(),
        }
    }

    /// The operation, for metrics.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::IbmCos(operation) => operation.endpoint(),
            Self::KeystoneV2(operation) => operation.endpoint(),
            Self::KeystoneV3(operation) => operation.endpoint(),
            Self::OsEc2(operation) => operation.endpoint(),
        }
    }

    /// Parses the request. The body is empty for operations that take no body.
    pub(crate) fn parse(&self, head: &Parts, body: &[u8]) -> Result<Task, Error> {
        match self {
            Self::IbmCos(operation) => Ok(Task::Run(Command::Key(operation.parse(head, body)?))),
            Self::KeystoneV2(operation) => {
                Ok(Task::Run(Command::Grant(operation.parse(head, body)?)))
            }
            Self::KeystoneV3(operation) => operation.parse(head, body),
            Self::OsEc2(operation) => Ok(Task::Run(Command::Ec2(operation.parse(head, body)?))),
        }
    }
}

/// Renders the responses to a request.
#[derive(Debug)]
pub(crate) enum Frame {
    IbmCos(ibm_cos::Frame),
    KeystoneV2(keystone_v2::Frame),
    KeystoneV3(keystone::Frame),
    OsEc2(os_ec2::Frame),
}

impl Frame {
    /// The operation of a request that is refused before it is one, for metrics.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::IbmCos(_) => Endpoint::IbmCosOther,
            Self::KeystoneV2(_) => Endpoint::V2Other,
            Self::KeystoneV3(_) => Endpoint::V3Other,
            Self::OsEc2(_) => Endpoint::OsEc2Other,
        }
    }

    /// Checks that the request names a content type that the dialect accepts, also without
    /// a body.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnsupportedMediaType`] if it names no type, two types, or another type.
    pub(crate) fn check_content_type(&self, headers: &HeaderMap) -> Result<(), Error> {
        let (taken, message): (&[Format], _) = match self {
            Self::KeystoneV2(_) => (
                &[Format::Json, Format::Xml],
                "With Basic credentials the Content-Type must be application/json or \
                 application/xml.",
            ),
            Self::IbmCos(_) | Self::KeystoneV3(_) | Self::OsEc2(_) => (
                &[Format::Json],
                "With Basic credentials the Content-Type must be application/json.",
            ),
        };
        let named = media::sole_content_type(headers);
        if named.is_some_and(|named| taken.contains(&named)) {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::UnsupportedMediaType, message))
        }
    }

    /// Adds the id of the request, or a fresh one, where the dialect has ids.
    pub(crate) fn with_id(
        &self,
        response: Response<Full<Bytes>>,
        id: Option<&RequestId>,
    ) -> Response<Full<Bytes>> {
        match self {
            Self::IbmCos(_) | Self::KeystoneV2(_) => response,
            Self::KeystoneV3(_) | Self::OsEc2(_) => keystone::with_id(response, id),
        }
    }

    /// The response to a command.
    pub(crate) fn outcome(
        &self,
        outcome: &Outcome,
        context: &RenderContext<'_>,
    ) -> Response<Full<Bytes>> {
        match self {
            Self::IbmCos(_) => ibm_cos::outcome(outcome, context),
            Self::KeystoneV2(frame) => frame.outcome(outcome, context),
            Self::KeystoneV3(frame) => keystone_v3::outcome(outcome, frame, context),
            Self::OsEc2(frame) => frame.outcome(outcome, context),
        }
    }

    /// The response to a request that is refused or failed.
    pub(crate) fn error(
        &self,
        error: &Error,
        context: &RenderContext<'_>,
    ) -> Response<Full<Bytes>> {
        match self {
            Self::IbmCos(frame) => frame.error(error, context),
            Self::KeystoneV2(frame) => frame.error(error, context),
            Self::KeystoneV3(frame) => frame.error(error, context),
            Self::OsEc2(frame) => frame.error(error, context),
        }
    }
}
