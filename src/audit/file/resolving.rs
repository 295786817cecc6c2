//! Finds out whether the changes of a process that crashed were made.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::{
    line::{text_of, time_of},
    queue::Entry,
    writer::id_of,
};
use crate::{
    audit::AuditOutcome,
    backend::{BackendError, CredentialBackend},
    domain::{Credential, CredentialId, format_time},
};

/// How many intents had which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// The change was made.
    pub done: usize,
    /// The change was not made.
    pub withdrawn: usize,
    /// The record was changed again since; or a session was issued, which the store does not know.
    pub unknown: usize,
}

impl Resolved {
    pub(super) fn count(&mut self, outcome: AuditOutcome) {
        match outcome {
            AuditOutcome::Done => self.done += 1,
            AuditOutcome::Withdrawn => self.withdrawn += 1,
            _ => self.unknown += 1,
        }
    }
}

/// Returns the outcome of an intent, as the store shows it. Another process may have written it.
pub(super) async fn outcome_of(
    intent: &Value,
    backend: &dyn CredentialBackend,
) -> Result<AuditOutcome, BackendError> {
    let id = intent["target"]["id"].as_str();
    let Some(id) = id.filter(|_| intent["action"] != "session") else {
        return Ok(AuditOutcome::Unknown);
    };
    let stored = backend.get_latest(&CredentialId::from_stored(id)).await?;
    let (before, after) = (&intent["before"], &intent["after"]);
    let is = |state: &Value, stored: &Credential| {
        state["version"].as_str().and_then(|version| version.parse().ok())
            == Some(stored.version.get())
            && state["status"].as_str() == Some(stored.status.as_str())
            && state["expires_at"].as_str() == stored.terms.expires_at().map(format_time).as_deref()
            && state["boundary"].as_str() == stored.terms.boundary()
    };
    Ok(match (stored, before.is_object(), after.is_object()) {
        (None, _, false) => AuditOutcome::Done,
        (Some(stored), _, true) if is(after, &stored) => AuditOutcome::Done,
        (Some(stored), true, _) if is(before, &stored) => AuditOutcome::Withdrawn,
        (None, false, true) => AuditOutcome::Withdrawn,
        _ => AuditOutcome::Unknown,
    })
}

/// Returns the line of the outcome.
pub(super) fn entry(intent: &Value, outcome: AuditOutcome, now: SystemTime) -> Option<Entry> {
    let id = id_of(intent)?;
    let members = text_of(&json!({
        "type": "outcome",
        "id": intent["id"],
        "time": time_of(now),
        "action": intent["action"],
        "outcome": outcome.as_str(),
        "resolved": true,
        "target": intent["target"],
    }));
    Some(Entry { kind: "outcome", id, only_if_open: false, members, durable: None })
}
