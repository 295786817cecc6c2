//! Wire formats: from a request to a command, from an outcome to a response.
//!
//! Everything here is sync and pure. Each dialect has its table of routes on
//! top of its folder, and no dialect knows another.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, request::Parts};
use http_body_util::Full;
use serde::Serialize;

use crate::{
    authority::{Command, Outcome},
    error::Error,
};

mod ibm_cos;
mod json;
mod keystone_v2;
mod media;
mod moment;
mod path;

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
    /// Grant, list, get, update and delete, in JSON and XML.
    KeystoneV2,
}

impl Dialect {
    /// Every dialect that this version of the crate ships.
    pub const ALL: &'static [Self] = &[Self::IbmCos, Self::KeystoneV2];

    /// The path under which the dialect lives unless the builder says otherwise:
    /// `/credentials` and `/v2.0`.
    #[must_use]
    pub fn default_prefix(self) -> &'static str {
        match self {
            Self::IbmCos => ibm_cos::PREFIX,
            Self::KeystoneV2 => keystone_v2::PREFIX,
        }
    }

    /// Whose request this is. Allocates nothing unless it is ours.
    pub(crate) fn route(self, prefix: &str, method: &Method, path: &str) -> Routed<Exchange> {
        match self {
            Self::IbmCos => ibm_cos::route(prefix, method, path).map(Exchange::IbmCos),
            Self::KeystoneV2 => keystone_v2::route(prefix, method, path).map(Exchange::KeystoneV2),
        }
    }
}

/// Whose request it is.
pub(crate) enum Routed<T> {
    /// Ours, to be carried out.
    Matched(T),
    /// The inner service's.
    NotOurs,
    /// Ours, and refused as it stands.
    Refused(T, Error),
}

impl<T> Routed<T> {
    fn map<U>(self, wrap: impl FnOnce(T) -> U) -> Routed<U> {
        match self {
            Self::Matched(exchange) => Routed::Matched(wrap(exchange)),
            Self::NotOurs => Routed::NotOurs,
            Self::Refused(exchange, error) => Routed::Refused(wrap(exchange), error),
        }
    }
}

/// One matched request, in its dialect.
#[derive(Debug)]
pub(crate) enum Exchange {
    IbmCos(ibm_cos::Exchange),
    KeystoneV2(keystone_v2::Exchange),
}

impl Exchange {
    /// Whether the operation takes a body; any other's is not read.
    pub(crate) fn takes_body(&self) -> bool {
        match self {
            Self::IbmCos(exchange) => exchange.takes_body(),
            Self::KeystoneV2(exchange) => exchange.takes_body(),
        }
    }

    /// The request in domain words.
    pub(crate) fn parse(&self, head: &Parts, body: &[u8]) -> Result<Command, Error> {
        match self {
            Self::IbmCos(exchange) => exchange.parse(head, body),
            Self::KeystoneV2(exchange) => exchange.parse(head, body),
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
