//! Wire formats: from a request to a command, from an outcome to a response.
//!
//! Everything here is sync and pure. Each dialect has its table of routes on
//! top of its folder, and no dialect knows another.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, request::Parts};
use http_body_util::Full;
use serde::Serialize;

use crate::{
    authority::{Command, Outcome},
    error::{Error, ErrorKind},
};

mod ibm_cos;
mod json;
mod keystone;
mod keystone_v2;
mod keystone_v3;
mod last_used;
mod links;
mod media;
mod moment;
mod os_ec2;
mod path;

use media::Format;
pub(crate) use moment::Moment;

/// One wire format that the layer answers.
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
    /// Credentials of every type, key pairs, and the validation of signatures, as
    /// Keystone 2026.2 answers, in JSON. Signatures are validated where there is a
    /// directory, and `ec2tokens` where there is an issuer of tokens besides; other
    /// apps get these requests themselves.
    KeystoneV3,
}

impl Dialect {
    /// Every dialect that this version of the crate ships.
    pub const ALL: &'static [Self] = &[Self::IbmCos, Self::KeystoneV2, Self::KeystoneV3];

    /// The path under which the dialect lives unless the builder says otherwise:
    /// `/credentials`, `/v2.0` and `/v3`.
    #[must_use]
    pub fn default_prefix(self) -> &'static str {
        match self {
            Self::IbmCos => ibm_cos::PREFIX,
            Self::KeystoneV2 => keystone_v2::PREFIX,
            Self::KeystoneV3 => keystone_v3::PREFIX,
        }
    }

    /// Whose request this is. Allocates nothing unless it is ours.
    pub(crate) fn route(
        self,
        prefix: &str,
        method: &Method,
        path: &str,
        served: Served,
    ) -> Routed<Exchange> {
        match self {
            Self::IbmCos => ibm_cos::route(prefix, method, path).map(Exchange::IbmCos),
            Self::KeystoneV2 => keystone_v2::route(prefix, method, path)
                .map(Exchange::KeystoneV2)
                .or_else(|| os_ec2(prefix, method, path)),
            Self::KeystoneV3 => {
                let Some(rest) = path::after_prefix(path, prefix) else { return Routed::NotOurs };
                keystone_v3::route(prefix, method, rest, served)
                    .map(Exchange::KeystoneV3)
                    .or_else(|| os_ec2(prefix, method, path))
            }
        }
    }
}

fn os_ec2(prefix: &str, method: &Method, path: &str) -> Routed<Exchange> {
    let Some(rest) = path::after_prefix(path, prefix) else { return Routed::NotOurs };
    os_ec2::route(prefix, method, rest).map(Exchange::OsEc2)
}

/// Which operations are answered that need more than a backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub(crate) ec2tokens: bool,
    pub(crate) s3tokens: bool,
}

/// Whose request it is.
pub(crate) enum Routed<T> {
    /// Ours, to be carried out.
    Matched(T),
    /// The inner service's.
    NotOurs,
    /// Ours, and asks only what may be done there, which is told to anybody.
    Options(T),
    /// Ours, and refused as it stands.
    Refused(T, Error),
}

impl<T> Routed<T> {
    fn map<U>(self, wrap: impl FnOnce(T) -> U) -> Routed<U> {
        match self {
            Self::Matched(exchange) => Routed::Matched(wrap(exchange)),
            Self::NotOurs => Routed::NotOurs,
            Self::Options(exchange) => Routed::Options(wrap(exchange)),
            Self::Refused(exchange, error) => Routed::Refused(wrap(exchange), error),
        }
    }

    /// Itself, or another answer if it is not ours so far.
    fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if matches!(self, Self::NotOurs) { other() } else { self }
    }
}

/// One matched request, in its dialect.
#[derive(Debug)]
pub(crate) enum Exchange {
    IbmCos(ibm_cos::Exchange),
    KeystoneV2(keystone_v2::Exchange),
    KeystoneV3(keystone_v3::Exchange),
    OsEc2(os_ec2::Exchange),
}

impl Exchange {
    /// Whether the operation takes a body; any other's is not read.
    pub(crate) fn takes_body(&self) -> bool {
        match self {
            Self::IbmCos(exchange) => exchange.takes_body(),
            Self::KeystoneV2(exchange) => exchange.takes_body(),
            Self::KeystoneV3(exchange) => exchange.takes_body(),
            Self::OsEc2(exchange) => exchange.takes_body(),
        }
    }

    /// Checks that the request names a content type that the dialect takes, whether it
    /// has a body or not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnsupportedMediaType`] if it names none, two, or another one.
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

    /// The request in domain words.
    pub(crate) fn parse(&self, head: &Parts, body: &[u8]) -> Result<Command, Error> {
        match self {
            Self::IbmCos(exchange) => exchange.parse(head, body),
            Self::KeystoneV2(exchange) => exchange.parse(head, body),
            Self::KeystoneV3(exchange) => exchange.parse(head, body),
            Self::OsEc2(exchange) => exchange.parse(head, body),
        }
    }

    /// What may be done on the path, as the dialect says it.
    pub(crate) fn options(&self) -> Response<Full<Bytes>> {
        match self {
            Self::IbmCos(_) | Self::KeystoneV2(_) => unreachable!("these do not tell"),
            Self::KeystoneV3(exchange) => exchange.options(),
            Self::OsEc2(exchange) => exchange.options(),
        }
    }

    /// What came of it, as the dialect says it.
    pub(crate) fn render(
        &self,
        result: Result<&Outcome, &Error>,
        moment: &Moment<'_>,
    ) -> Response<Full<Bytes>> {
        match self {
            Self::IbmCos(exchange) => exchange.render(result, moment),
            Self::KeystoneV2(exchange) => exchange.render(result, moment),
            Self::KeystoneV3(exchange) => exchange.render(result, moment),
            Self::OsEc2(exchange) => exchange.render(result, moment),
        }
    }
}

/// Seconds after which a client may try again when a part is down.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Keystone's error object.
#[derive(Serialize)]
struct ErrorObject<'a> {
    error: ErrorMembers<'a>,
}

#[derive(Serialize)]
struct ErrorMembers<'a> {
    code: u16,
    title: &'static str,
    message: &'a str,
}

impl<'a> ErrorObject<'a> {
    fn new(status: StatusCode, error: &'a Error) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        Self { error: ErrorMembers { code: status.as_u16(), title, message: error.message() } }
    }
}
