//! Which of several servers took over last.
//!
//! PostgreSQL begins a new timeline when a standby is promoted. The old primary, should it
//! come back and still take writes, stays on the one before: it lacks what was written
//! since, and still has what was revoked.

use std::{cmp::Ordering, sync::Arc};

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
    pub(super) async fn of(client: &Client) -> Result<Option<Self>, tokio_postgres::Error> {
        // There is no such function, or not for this user.
        let is_mute = |error: &tokio_postgres::Error| {
            error.code().is_some_and(|code| ["0A", "42"].contains(&&code.code()[..2]))
        };
        let told = match client.simple_query(statements::ERA).await {
            Err(error) if is_mute(&error) => {
                tracing::debug!(%error, "the server tells no era");
                return Ok(None);
            }
            told => told?,
        };
        Ok(told.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            let timeline = u32::from_str_radix(row.get(1)?, 16).ok()?;
            Some(Self { system: row.get(0)?.to_owned(), timeline })
        }))
    }

    /// Servers that have nothing in common are neither before nor after each other.
    fn compared(&self, other: &Self) -> Option<Ordering> {
        (self.system == other.system).then(|| self.timeline.cmp(&other.timeline))
    }
}

/// The last era that anybody who shares this has seen.
#[derive(Clone, Debug)]
pub(super) struct Eras {
    last: Arc<watch::Sender<Option<Era>>>,
}

impl Eras {
    pub(super) fn new() -> Self {
        Self { last: Arc::new(watch::Sender::new(None)) }
    }

    /// Takes note of the era in which a session begins; `None` if it is over.
    pub(super) fn begin(&self, era: Option<Era>) -> Option<Term> {
        self.last.send_if_modified(|last| {
            let Some(era) = &era else { return false };
            let compared = last.as_ref().map(|last| era.compared(last));
            let is_new = matches!(compared, None | Some(None | Some(Ordering::Greater)));
            if is_new {
                *last = Some(era.clone());
            }
            is_new
        });
        let term = Term { era, eras: self.clone() };
        (!term.is_over()).then_some(term)
    }
}

/// For how long a session is good.
#[derive(Clone, Debug)]
pub(super) struct Term {
    era: Option<Era>,
    eras: Eras,
}

impl Term {
    /// Whether a later era has been seen.
    pub(super) fn is_over(&self) -> bool {
        self.is_before(self.eras.last.borrow().as_ref())
    }

    /// Waits until a later era has been seen.
    pub(super) async fn over(&self) {
        let mut last = self.eras.last.subscribe();
        // It cannot fail: the sender is held meanwhile.
        let _ = last.wait_for(|last| self.is_before(last.as_ref())).await;
    }

    fn is_before(&self, last: Option<&Era>) -> bool {
        let both = self.era.as_ref().zip(last);
        both.is_some_and(|(era, last)| era.compared(last) == Some(Ordering::Less))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn era(system: &str, timeline: u32) -> Era {
        Era { system: system.into(), timeline }
    }

    #[tokio::test]
    async fn a_term_is_over_when_a_later_era_of_the_same_system_has_been_seen() {
        let eras = Eras::new();
        let (first, unknown) = (eras.begin(Some(era("7", 1))).unwrap(), eras.begin(None).unwrap());
        assert!(eras.begin(Some(era("7", 1))).is_some());
        assert!(!first.is_over());
        let second = eras.begin(Some(era("7", 2))).unwrap();
        assert!(first.is_over() && !second.is_over() && !unknown.is_over());
        first.over().await;
        assert!(eras.begin(Some(era("7", 1))).is_none());
    }

    #[test]
    fn a_server_that_was_made_anew_is_not_compared_with_the_one_before() {
        let eras = Eras::new();
        let old = eras.begin(Some(era("7", 4))).unwrap();
        let new = eras.begin(Some(era("8", 1))).unwrap();
        assert!(!old.is_over() && !new.is_over());
    }
}
