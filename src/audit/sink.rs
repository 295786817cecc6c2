//! [`AuditSink`], and the sink that logs.

use std::fmt;

use async_trait::async_trait;

use super::event::{AuditAction, AuditEvent, AuditOutcome};
use crate::domain::{AccessKey, CredentialId, ProjectId, UserId};

/// Records the events of a layer.
///
/// For each change, the layer calls [`intent`](Self::intent), makes the change, and calls
/// [`record`](Self::record) with the outcome. For other events it calls `record` alone.
/// The suite in `conformance::audit` tests a sink.
#[async_trait]
pub trait AuditSink: fmt::Debug + Send + Sync + 'static {
    /// Records that a change will be attempted. A sink that must have an event for each change,
    /// also after a crash, returns when the intent is durable. Other sinks return at once.
    ///
    /// # Errors
    ///
    /// The intent is not recorded. The change is then not made.
    async fn intent(&self, event: &AuditEvent) -> Result<(), AuditError>;

    /// Records an event. It must not block. Events of one record arrive in their order.
    ///
    /// Each event for which `intent` was called is recorded once, whatever `intent` returned.
    /// Sinks that do not record intents may leave out [`AuditOutcome::Withdrawn`].
    fn record(&self, event: AuditEvent);
}

forward_pointers!(AuditSink {
    fn record(&self, event: AuditEvent) -> ();
    async fn intent(&self, event: &AuditEvent) -> Result<(), AuditError>;
});

/// Gives each event to both sinks. An intent that the first one refuses does not reach the second
/// one; its outcome reaches both.
#[async_trait]
impl<A: AuditSink, B: AuditSink> AuditSink for (A, B) {
    async fn intent(&self, event: &AuditEvent) -> Result<(), AuditError> {
        self.0.intent(event).await?;
        self.1.intent(event).await
    }

    fn record(&self, event: AuditEvent) {
        self.0.record(event.clone());
        self.1.record(event);
    }
}

wrapping_error! {
    /// An intent could not be recorded.
    AuditError, "the audit event cannot be recorded"
}

/// Logs each event at `info`, with the target `tower_credentials::audit`. Intents and withdrawn
/// changes are not logged.
///
/// Clients choose ids and access keys. They are recorded as strings: the formats of
/// `tracing-subscriber` quote those, and escape characters that could forge a line. Its JSON format
/// keeps other characters, such as those that reverse the direction of text.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TracingSink;

impl TracingSink {
    /// Creates the sink.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl AuditSink for TracingSink {
    async fn intent(&self, _: &AuditEvent) -> Result<(), AuditError> {
        Ok(())
    }

    fn record(&self, event: AuditEvent) {
        if event.outcome != AuditOutcome::Withdrawn
            && tracing::enabled!(target: "tower_credentials::audit", tracing::Level::INFO)
        {
            log(&event);
        }
    }
}

fn log(event: &AuditEvent) {
    let (target, actor) = (&event.target, &*event.actor);
    let session = event.session.as_deref();
    tracing::info!(
        target: "tower_credentials::audit",
        credential_id = target.id.as_ref().map(CredentialId::as_str),
        access_key = target.access_key.as_ref().map(AccessKey::as_str),
        user_id = target.user_id.as_ref().map(UserId::as_str),
        project_id = target.project_id.as_ref().map(ProjectId::as_str),
        status = event.after.as_ref().or(event.before.as_ref()).map(|it| it.status.as_str()),
        session = session.map(|it| it.access_key.as_str()),
        holder = session.map(|it| &*it.holder),
        role = session.and_then(|it| it.role.as_deref()),
        source_identity = session.and_then(|it| it.source_identity.as_deref()),
        seconds = session.map(|it| it.seconds),
        count = event.count,
        reason = event.reason.as_ref().map(|reason| reason.kind),
        caller = actor.caller.user_id.as_str(),
        caller_project = actor.caller.project_id().map(ProjectId::as_str),
        caller_key = actor.access_key.as_ref().map(AccessKey::as_str),
        caller_session = actor.session.as_ref().map(AccessKey::as_str),
        source = actor.source.map(display),
        request_id = actor.request_id.as_ref().map(display),
        "{}",
        Message(event.action, event.outcome)
    );
}

/// The message of a line.
struct Message(AuditAction, AuditOutcome);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(action, outcome) = *self;
        let (done, attempted) = match action {
            AuditAction::Create => ("credential created", "credential create"),
            AuditAction::Delete => ("credential deleted", "credential delete"),
            AuditAction::List => ("credentials of others listed", "credential list"),
            AuditAction::Purge => ("credentials purged", "credential purge"),
            AuditAction::Rotate => ("credential rotated", "credential rotate"),
            AuditAction::Session => ("session issued", "session issue"),
            AuditAction::Show => ("credential of another user shown", "credential show"),
            AuditAction::Update => ("credential updated", "credential update"),
        };
        match outcome {
            AuditOutcome::Done => f.write_str(done),
            AuditOutcome::Failed => write!(f, "{attempted} failed"),
            AuditOutcome::Refused => write!(f, "{attempted} refused"),
            AuditOutcome::Unknown => write!(f, "{attempted}: outcome unknown"),
            AuditOutcome::Withdrawn => write!(f, "{attempted} withdrawn"),
        }
    }
}
