//! Who did what: an event for each change of a credential, for each refusal of a change, and for
//! each use of a power over the credentials of others.
//!
//! The layer gives its events to an [`AuditSink`]: to [`TracingSink`] unless
//! [`CredentialLayerBuilder::audit`](crate::CredentialLayerBuilder::audit) sets another one.
//!
//! # Events
//!
//! | action | event |
//! |---|---|
//! | create, update, rotate, delete | one for each record that is changed; a rotation with an overlap changes one and creates one |
//! | session | one for each session that STS issues |
//! | show, list | one if the response contains credentials of another user |
//! | purge | none of the layer; for apps that delete the records of a user or project |
//!
//! A refused or failed change has an event with the reason, if the caller is known: its token or
//! signature was accepted. Requests of unknown callers have none, so that nobody else can fill a
//! log; the requests themselves are logged by the server.
//!
//! The verification of signatures for gateways (`s3tokens`, `ec2tokens`) and S3 requests have no
//! events. Neither have changes that bypass the layer: an app that makes such changes can create
//! [`AuditEvent`]s and give them to the sink itself.
//!
//! # Order
//!
//! In one process, the events of a record are in the order of its versions. Each version is one
//! more than the one before, so that events of several processes can be merged.
//!
//! # Failures
//!
//! A sink may refuse an [intent](AuditSink::intent). The change is then not made, and the client
//! gets 503. A change that was made has an event even if the client disconnected.

mod event;
#[cfg(feature = "audit")]
#[cfg_attr(docsrs, doc(cfg(feature = "audit")))]
pub mod file;
mod sink;

pub(crate) use self::event::RequestFacts;
pub use self::{
    event::{
        Actor, AuditAction, AuditEvent, AuditId, AuditOutcome, AuditReason, AuditTarget,
        IssuedSession, RecordState,
    },
    sink::{AuditError, AuditSink, TracingSink},
};
