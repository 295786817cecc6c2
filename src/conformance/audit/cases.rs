//! The cases, one function per clause.
//!
//! Each takes a sink without events and its reader, and panics if the clause is violated.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use super::recorded::Recorded;
use crate::{
    audit::{Actor, AuditAction, AuditEvent, AuditId, AuditOutcome, AuditSink, AuditTarget},
    domain::{AccessKey, Caller, CredentialId, Scope, UserId},
};

type Sink = Arc<dyn AuditSink>;
type Reader = Arc<dyn Recorded>;

/// Every event is recorded once, and events are in the order of the calls.
///
/// # Panics
///
/// If an event is missing, recorded twice, or in another place.
pub async fn events_are_recorded_once_in_their_order(sink: Sink, events: Reader) {
    let sent: Vec<_> = (0..200).map(|number| event(&format!("key-{number}"))).collect();
    for event in &sent {
        sink.record(event.clone());
    }
    assert_eq!(events.recorded().await, sent.iter().map(summary).collect::<Vec<_>>());
}

/// An intent is not an event of its own: the outcome follows, with the same id.
///
/// # Panics
///
/// If an intent is refused, or its outcome is not recorded once.
pub async fn intent_has_one_outcome(sink: Sink, events: Reader) {
    let mut expected = Vec::new();
    for outcome in [AuditOutcome::Done, AuditOutcome::Unknown] {
        let intent = event("key").ended(AuditOutcome::Unknown);
        sink.intent(&intent).await.expect("the intent is recorded");
        expected.push((intent.id, outcome));
        sink.record(intent.ended(outcome));
    }
    assert_eq!(events.recorded().await, expected);
}

/// A withdrawn change is recorded as such, or left out.
///
/// # Panics
///
/// If it is recorded with another outcome.
pub async fn withdrawn_change_is_never_done(sink: Sink, events: Reader) {
    let intent = event("key").ended(AuditOutcome::Unknown);
    sink.intent(&intent).await.expect("the intent is recorded");
    sink.record(intent.clone().ended(AuditOutcome::Withdrawn));
    let after = event("key");
    sink.record(after.clone());
    let recorded = events.recorded().await;
    let (last, before) = recorded.split_last().expect("the last event is recorded");
    assert_eq!(*last, summary(&after));
    assert!(before.iter().all(|it| *it == (intent.id, AuditOutcome::Withdrawn)), "{before:?}");
}

/// Text that clients choose changes neither the number nor the outcomes of events.
///
/// # Panics
///
/// If an event is missing, or there is another one.
pub async fn hostile_text_makes_no_other_event(sink: Sink, events: Reader) {
    let texts =
        ["a\nb", "a\r\n{\"outcome\":\"done\"}", "\"}\\\u{202e}\u{1b}[2K\u{85}", "\u{0}\u{7f}"];
    let sent = texts.map(|text| {
        let mut event = event(text).ended(AuditOutcome::Refused);
        event.target.user_id = UserId::new(text).ok();
        sink.record(event.clone());
        summary(&event)
    });
    assert_eq!(events.recorded().await, sent);
}

/// Events of many tasks at once are all recorded.
///
/// # Panics
///
/// If an event is missing, or recorded twice.
pub async fn concurrent_events_are_all_recorded(sink: Sink, events: Reader) {
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let sink = Arc::clone(&sink);
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for number in 0..50 {
                    let event = event(&format!("{task}-{number}"));
                    ids.push(event.id);
                    sink.intent(&event).await.expect("the intent is recorded");
                    sink.record(event);
                    tokio::task::yield_now().await;
                }
                ids
            })
        })
        .collect();
    let mut expected = Vec::new();
    for task in tasks {
        expected.extend(task.await.expect("the task ends"));
    }
    let mut recorded: Vec<_> = events.recorded().await.into_iter().map(|(id, _)| id).collect();
    expected.sort_unstable();
    recorded.sort_unstable();
    assert_eq!(recorded, expected);
}

/// The event of a key that was deleted.
fn event(access_key: &str) -> AuditEvent {
    let user_id = UserId::new("auditor").expect("the id is valid");
    let caller = Caller::new(user_id, Scope::Unscoped);
    let actor = Arc::new(Actor::new(caller.into(), &crate::audit::RequestFacts::default()));
    let access_key = AccessKey::from_stored(access_key);
    let target = AuditTarget {
        id: Some(CredentialId::of(&access_key)),
        access_key: Some(access_key),
        ..AuditTarget::default()
    };
    let time = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
    let event = AuditEvent::new(time, &actor, AuditAction::Delete, target);
    event.ended(AuditOutcome::Done)
}

fn summary(event: &AuditEvent) -> (AuditId, AuditOutcome) {
    (event.id, event.outcome)
}
