//! Which of several servers took over last.
//!
//! PostgreSQL begins a new timeline when a standby is promoted. The old primary, should it
//! come back and still take writes, stays on the one before: it lacks what was written
//! since, and still has what was revoked.

use std::cmp::Ordering;

use tokio::sync::watch;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::statements;

/// From one promotion to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Era {
    /// The number that a server and its standbys have in common.
    system: String,
    timeline: u32,
}

impl Era {
    /// That of a server; `None` if it tells none, as other engines.
    pub(super) async fn of(client: &Client) -> Option<Self> {
        let told = client.simple_query(statements::ERA).await;
        let told = told.inspect_err(|error| tracing::debug!(%error, "the server tells no era"));
        told.ok()?.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            let timeline = u32::from_str_radix(row.get(1)?, 16).ok()?;
            Some(Self { system: row.get(0)?.to_owned(), timeline })
        })
    }

    /// Servers that have nothing in common are neither before nor after each other.
    fn compared(&self, other: &Self) -> Option<Ordering> {
        (self.system == other.system).then(|| self.timeline.cmp(&other.timeline))
    }
}

/// The last era that anybody of this process has seen.
#[derive(Debug)]
pub(super) struct Eras {
    last: watch::Sender<Option<Era>>,
}

impl Eras {
    pub(super) fn new() -> Self {
        Self { last: watch::Sender::new(None) }
    }

    /// Takes note of an era; whether it is not over.
    pub(super) fn admit(&self, era: &Era) -> bool {
        self.last.send_if_modified(|last| {
            let compared = last.as_ref().map(|last| era.compared(last));
            let is_new = matches!(compared, None | Some(None | Some(Ordering::Greater)));
            if is_new {
                *last = Some(era.clone());
            }
            is_new
        });
        !self.is_over(Some(era))
    }

    /// Whether a later one has been seen.
    pub(super) fn is_over(&self, era: Option<&Era>) -> bool {
        is_before(era, self.last.borrow().as_ref())
    }

    /// Waits until a later one has been seen.
    pub(super) async fn over(&self, era: Option<&Era>) {
        let mut last = self.last.subscribe();
        // The sender is there for as long as it is waited for.
        let _ = last.wait_for(|last| is_before(era, last.as_ref())).await;
    }
}

fn is_before(era: Option<&Era>, last: Option<&Era>) -> bool {
    era.zip(last).is_some_and(|(era, last)| era.compared(last) == Some(Ordering::Less))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn era(system: &str, timeline: u32) -> Era {
        Era { system: system.into(), timeline }
    }

    #[tokio::test]
    async fn an_era_is_over_when_a_later_one_of_the_same_system_has_been_seen() {
        let (eras, first) = (Eras::new(), era("7", 1));
        assert!(eras.admit(&first) && eras.admit(&first));
        assert!(!eras.is_over(Some(&first)) && !eras.is_over(None));
        assert!(eras.admit(&era("7", 2)));
        assert!(eras.is_over(Some(&first)) && !eras.is_over(None));
        eras.over(Some(&first)).await;
        assert!(!eras.admit(&first));
        assert!(!eras.is_over(Some(&era("7", 2))));
    }

    #[test]
    fn a_server_that_was_made_anew_is_not_compared_with_the_one_before() {
        let eras = Eras::new();
        assert!(eras.admit(&era("7", 4)));
        assert!(eras.admit(&era("8", 1)));
        assert!(!eras.is_over(Some(&era("7", 4))));
    }
}
