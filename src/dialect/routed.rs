//! [`Routed`]: the result of routing a request.

use super::query_api::Route;
use crate::{
    authority::{Command, SignatureCommand},
    error::Error,
};

/// Whether the operations that need more than a backend are served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub(crate) ec2tokens: bool,
    pub(crate) s3tokens: bool,
}

/// The result of routing a request. `F` determines how to respond, `O` is the operation.
pub(crate) enum Routed<F, O> {
    /// The request passes through to the inner service.
    NotOurs,
    /// The response is the methods of the path, for `Allow`. Any caller may see them.
    Options(&'static str),
    /// A request of the AWS wires.
    Query(Route),
    /// An operation, or a refusal that does not depend on the caller.
    Ours(F, Result<O, Error>),
}

impl<F, O> Routed<F, O> {
    pub(super) fn map<G, P>(
        self,
        frame: impl FnOnce(F) -> G,
        operation: impl FnOnce(O) -> P,
    ) -> Routed<G, P> {
        match self {
            Self::NotOurs => Routed::NotOurs,
            Self::Options(allow) => Routed::Options(allow),
            Self::Query(route) => Routed::Query(route),
            Self::Ours(own, result) => Routed::Ours(frame(own), result.map(operation)),
        }
    }

    /// Returns this route, or the other route if this one passes through.
    pub(super) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if matches!(self, Self::NotOurs) { other() } else { self }
    }
}

/// A parsed request: the work for the authority.
#[derive(Debug)]
pub(crate) enum Task {
    /// Carry out a command. Every frame renders its outcome.
    Run(Command),
    /// Verify a signature. `verified` renders the result.
    Verify(SignatureCommand),
}
