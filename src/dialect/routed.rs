//! Where a request leads.

use crate::{
    authority::{Command, SignatureCommand},
    error::Error,
};

/// Which operations are served that need more than a backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub(crate) ec2tokens: bool,
    pub(crate) s3tokens: bool,
}

/// Where a request leads: how to respond as `F`, what to do as `O`.
pub(crate) enum Routed<F, O> {
    /// To the inner service.
    NotOurs,
    /// To the list of methods of one of our paths, for `Allow`. Any caller may see it.
    Options(&'static str),
    /// To an operation, or to a refusal that does not depend on the caller.
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
            Self::Ours(own, result) => Routed::Ours(frame(own), result.map(operation)),
        }
    }

    /// Itself, or another route if the request is not ours so far.
    pub(super) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if matches!(self, Self::NotOurs) { other() } else { self }
    }
}

/// An operation with what the request says about it, in domain words.
#[derive(Debug)]
pub(crate) enum Task {
    /// Carry out a command. Every frame renders its outcome.
    Run(Command),
    /// Verify a signature. `verified` renders the result.
    Verify(SignatureCommand),
}
