//! Detects servers that were left behind by a failover.
//!
//! PostgreSQL starts a new timeline when a standby is promoted. If the old primary comes back
//! and takes writes, it is still on the previous timeline: it lacks what was written since,
//! and still has keys that were revoked.

use std::{cmp::Ordering, sync::Arc};

use tokio::sync::watch;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::statements;

/// The period between two promotions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    /// The identifier that a server and its standbys have in common.
    system: String,
    number: u32,
}

impl Timeline {
    /// Returns the server's timeline; `None` if it reports none, as other engines do.
    pub(super) async fn of(client: &Client) -> Result<Option<Self>, tokio_postgres::Error> {
        // The function does not exist, or this user may not call it.
        let is_unsupported = |error: &tokio_postgres::Error| {
            error.code().is_some_and(|code| ["0A", "42"].contains(&&code.code()[..2]))
        };
        let messages = match client.simple_query(statements::TIMELINE).await {
            Err(error) if is_unsupported(&error) => {
                tracing::debug!(%error, "the server reports no timeline");
                return Ok(None);
            }
            messages => messages?,
        };
        Ok(messages.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            let number = u32::from_str_radix(row.get(1)?, 16).ok()?;
            Some(Self { system: row.get(0)?.to_owned(), number })
        }))
    }

    /// Timelines of unrelated servers are not ordered.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        (self.system == other.system).then(|| self.number.cmp(&other.number))
    }
}

/// The latest timeline that any session of this backend has seen.
#[derive(Clone, Debug)]
pub(super) struct LatestTimeline {
    latest: Arc<watch::Sender<Option<Timeline>>>,
}

impl LatestTimeline {
    pub(super) fn new() -> Self {
        Self { latest: Arc::new(watch::Sender::new(None)) }
    }

    /// Records the timeline of a new session. Returns `None` if a later one was seen before.
    pub(super) fn observe(&self, timeline: Option<Timeline>) -> Option<SessionTimeline> {
        self.latest.send_if_modified(|latest| {
            let Some(timeline) = &timeline else { return false };
            let compared = latest.as_ref().map(|latest| timeline.compare(latest));
            let is_new = matches!(compared, None | Some(None | Some(Ordering::Greater)));
            if is_new {
                *latest = Some(timeline.clone());
            }
            is_new
        });
        let session = SessionTimeline { timeline, latest: self.clone() };
        (!session.is_superseded()).then_some(session)
    }
}

/// The timeline of a session, which must not be used once a later timeline was seen.
#[derive(Clone, Debug)]
pub(super) struct SessionTimeline {
    timeline: Option<Timeline>,
    latest: LatestTimeline,
}

impl SessionTimeline {
    /// Returns whether a later timeline has been seen.
    pub(super) fn is_superseded(&self) -> bool {
        self.is_before(self.latest.latest.borrow().as_ref())
    }

    /// Waits until a later timeline has been seen.
    pub(super) async fn superseded(&self) {
        let mut latest = self.latest.latest.subscribe();
        // Cannot fail: `self` keeps the sender alive.
        let _ = latest.wait_for(|latest| self.is_before(latest.as_ref())).await;
    }

    fn is_before(&self, latest: Option<&Timeline>) -> bool {
        let both = self.timeline.as_ref().zip(latest);
        both.is_some_and(|(own, latest)| own.compare(latest) == Some(Ordering::Less))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(system: &str, number: u32) -> Timeline {
        Timeline { system: system.into(), number }
    }

    #[tokio::test]
    async fn session_is_superseded_by_a_later_timeline_of_the_same_system() {
        let latest = LatestTimeline::new();
        let first = latest.observe(Some(timeline("7", 1))).unwrap();
        let unknown = latest.observe(None).unwrap();
        assert!(latest.observe(Some(timeline("7", 1))).is_some());
        assert!(!first.is_superseded());
        let second = latest.observe(Some(timeline("7", 2))).unwrap();
        assert!(first.is_superseded() && !second.is_superseded() && !unknown.is_superseded());
        first.superseded().await;
        assert!(latest.observe(Some(timeline("7", 1))).is_none());
    }

    #[test]
    fn timelines_of_different_systems_are_not_compared() {
        let latest = LatestTimeline::new();
        let old = latest.observe(Some(timeline("7", 4))).unwrap();
        let new = latest.observe(Some(timeline("8", 1))).unwrap();
        assert!(!old.is_superseded() && !new.is_superseded());
    }
}
