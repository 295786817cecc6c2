//! Writes with their audit events, and the events of requests that write nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    checks::Authority,
    detached::detached,
    outcome::{Outcome, View},
    requester::Requester,
    signers::{Signer, SignerError},
};
use crate::{
    audit::{
        AuditAction, AuditError, AuditEvent, AuditOutcome, AuditReason, AuditSink, AuditTarget,
    },
    backend::BackendError,
    domain::{Credential, UserId},
    error::{Error, ErrorKind},
};

/// How long a write waits for other writes of its record.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

impl Authority {
    /// Performs a write, with one event for each record that it changes. Returns the result of the
    /// write: false if another writer was faster.
    ///
    /// The write and its events continue if the client disconnects.
    ///
    /// # Errors
    ///
    /// Nothing was written: the audit sink refused an intent, or the record is being changed by too
    /// many others, or by one that takes too long.
    pub(super) async fn audited<F>(
        &self,
        events: Vec<AuditEvent>,
        write: F,
    ) -> Result<Result<bool, BackendError>, Error>
    where
        F: Future<Output = Result<bool, BackendError>> + Send + 'static,
    {
        let (sink, turns) = (Arc::clone(&self.audit), Arc::clone(&self.turns));
        // Before the write starts, so that `settled` waits for it.
        let running = self.turns.running().await;
        let write = async move {
            let _running = running;
            let ids = events.iter().filter_map(|event| event.target.id.as_ref());
            let mut places: Vec<_> = ids.map(|id| turns.place(id)).collect();
            places.sort_unstable();
            places.dedup();
            let mut held = Vec::with_capacity(places.len());
            for place in places {
                let turn = timeout(TURN_TIMEOUT, turns.take(place)).await;
                let turn = turn.map_err(|_| {
                    Error::unavailable("an earlier change of the record takes too long")
                })?;
                held.push(
                    turn.ok_or_else(|| Error::unavailable("too many changes of the record wait"))?,
                );
            }
            let mut intents = Intents::new(sink, events);
            intents.announce().await.map_err(Error::unavailable)?;
            intents.begin();
            let result = write.await;
            intents.conclude(match &result {
                Ok(true) => AuditOutcome::Done,
                Err(BackendError::Unavailable(_) | BackendError::Corrupt(_)) => {
                    AuditOutcome::Unknown
                }
                Ok(false) | Err(_) => AuditOutcome::Withdrawn,
            });
            drop(held);
            Ok(result)
        };
        detached(write).await.unwrap_or_else(|lost| {
            tracing::error!(panicked = lost.panicked, "a write ended without a result");
            Ok(Err(BackendError::Unavailable("the write ended without a result".into())))
        })
    }

    /// Performs the issue of a session, which is written nowhere else.
    pub(super) async fn announce(&self, event: AuditEvent) -> Result<(), Error> {
        let mut intents = Intents::new(Arc::clone(&self.audit), vec![event]);
        intents.announce().await.map_err(Error::unavailable)?;
        intents.conclude(AuditOutcome::Done);
        Ok(())
    }

    /// Returns the event of a change.
    pub(super) fn change_event(
        &self,
        by: &Requester,
        action: AuditAction,
        before: Option<&Credential>,
        after: Option<&Credential>,
    ) -> AuditEvent {
        AuditEvent::change(self.clock.now(), &by.actor(), action, before, after)
    }

    /// Records that a change was refused, or failed.
    pub(crate) fn record_refusal(
        &self,
        by: &Requester,
        subject: (AuditAction, AuditTarget),
        error: &Error,
    ) {
        let message = error.message().to_owned().into();
        let reason = AuditReason { kind: error.kind().as_str(), message };
        self.record_reason(by, subject, reason, is_failure(error.kind()));
    }

    /// The same for a signer, which has errors of its own.
    pub(super) fn record_signer_refusal(
        &self,
        signer: &Signer,
        subject: (AuditAction, AuditTarget),
        error: &SignerError,
    ) {
        let message = error.message.clone().into();
        let reason = AuditReason { kind: error.kind.as_str(), message };
        let is_failed = error.source.as_ref().is_some_and(|error| is_failure(error.kind()));
        self.record_reason(&signer.caller, subject, reason, is_failed);
    }

    /// Records that a request for a change is refused, because it is not valid.
    pub(crate) fn record_invalid(&self, by: &Requester, action: AuditAction, reason: AuditReason) {
        self.record_reason(by, (action, AuditTarget::default()), reason, false);
    }

    fn record_reason(
        &self,
        by: &Requester,
        (action, target): (AuditAction, AuditTarget),
        reason: AuditReason,
        is_failed: bool,
    ) {
        let mut event = AuditEvent::new(self.clock.now(), &by.actor(), action, target.cut());
        event.outcome = if is_failed { AuditOutcome::Failed } else { AuditOutcome::Refused };
        event.reason = Some(reason);
        self.audit.record(event);
    }

    /// Records that the response to a caller contains this record, if it is another user's.
    pub(super) fn record_shown(&self, by: &Requester, record: &Credential) {
        if record.user_id != by.user_id {
            let target = AuditTarget::of(record);
            let event = AuditEvent::new(self.clock.now(), &by.actor(), AuditAction::Show, target);
            self.audit.record(event.ended(AuditOutcome::Done));
        }
    }

    /// Records that the response to a caller contains credentials of other users.
    pub(super) fn record_power(&self, by: &Requester, outcome: &Outcome) {
        let listing = match outcome {
            Outcome::Shown(view) => return self.record_shown(by, &view.credential),
            Outcome::Listed(listing) => listing,
            Outcome::Created(_) | Outcome::Deleted | Outcome::Updated(_) => return,
        };
        let is_others = |view: &&View| view.credential.user_id != by.user_id;
        let others = listing.views.iter().filter(is_others);
        let count = others.clone().count();
        if count > 0 {
            let (action, target) = (AuditAction::List, owner_of(others));
            let mut event = AuditEvent::new(self.clock.now(), &by.actor(), action, target);
            event.count = Some(count as u64);
            self.audit.record(event.ended(AuditOutcome::Done));
        }
    }
}

fn is_failure(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Internal | ErrorKind::Unavailable)
}

/// Returns the owner of the views as a target, if all have the same.
fn owner_of<'a>(views: impl Iterator<Item = &'a View>) -> AuditTarget {
    let mut owner: Option<&UserId> = None;
    for view in views {
        if **owner.get_or_insert(&view.credential.user_id) != view.credential.user_id {
            return AuditTarget::default();
        }
    }
    AuditTarget { user_id: owner.cloned(), ..AuditTarget::default() }
}

/// The events of a write. If it ends without a result, their outcome is recorded as unknown.
struct Intents {
    sink: Arc<dyn AuditSink>,
    events: Vec<AuditEvent>,
    /// How many events the sink has as intents.
    announced: usize,
    outcome: AuditOutcome,
}

impl Intents {
    fn new(sink: Arc<dyn AuditSink>, events: Vec<AuditEvent>) -> Self {
        Self { sink, events, announced: 0, outcome: AuditOutcome::Withdrawn }
    }

    async fn announce(&mut self) -> Result<(), AuditError> {
        for event in &self.events {
            // Before the call: it may be cancelled, or fail after it has recorded the intent.
            self.announced += 1;
            (*self.sink).intent(event).await?;
        }
        Ok(())
    }

    /// From now on, the outcome is unknown.
    fn begin(&mut self) {
        self.outcome = AuditOutcome::Unknown;
    }

    fn conclude(mut self, outcome: AuditOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Intents {
    fn drop(&mut self) {
        for event in self.events.drain(..self.announced) {
            self.sink.record(event.ended(self.outcome));
        }
    }
}
