//! Looks up when the credentials in a response were last used.

use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::{
    checks::Authority,
    outcome::{LastUsed, Outcome, View},
};
use crate::{
    domain::Credential,
    log,
    usage::{UsageError, whole_seconds},
};

/// The timeout of the log: a response without the last use is better than a late response.
const TIMEOUT: Duration = Duration::from_millis(500);

impl Authority {
    /// Adds the last use to all credentials in an outcome, except that of a create.
    pub(super) async fn with_last_use(&self, mut outcome: Outcome) -> Outcome {
        match &mut outcome {
            Outcome::Listed(listing) => self.look_up(&mut listing.views).await,
            Outcome::Shown(view) | Outcome::Updated(view) => {
                self.look_up(std::slice::from_mut(view)).await;
            }
            Outcome::Created(_) | Outcome::Deleted => {}
        }
        outcome
    }

    async fn look_up(&self, views: &mut [View]) {
        let Some(log) = self.usage.as_deref().filter(|_| !views.is_empty()) else { return };
        let ids: Vec<_> = views.iter().map(|view| view.credential.id.clone()).collect();
        let found = timeout(TIMEOUT, log.last_used(&ids)).await;
        let found = match found.unwrap_or_else(|late| Err(UsageError::new(late))) {
            Ok(found) => found,
            Err(error) => {
                let cause = log::cause(&error);
                tracing::warn!(%error, cause, "usage log failed; a response leaves out when keys were last used");
                return;
            }
        };
        for view in views {
            let at = found.get(&view.credential.id).copied();
            let own = at.filter(|at| !is_older(*at, &view.credential));
            view.last_used = own.map_or(LastUsed::Never, LastUsed::At);
        }
    }
}

/// Returns whether this was a use of an earlier key with the same access key. Its use may
/// be reported after it was deleted and the new key was created.
fn is_older(use_at: SystemTime, credential: &Credential) -> bool {
    whole_seconds(use_at) < whole_seconds(credential.created_at)
}
