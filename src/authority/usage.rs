//! When the credentials that are shown were last used.

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

/// How long the log may take; an answer without it is better than a late one.
const PATIENCE: Duration = Duration::from_millis(500);

impl Authority {
    /// Asks the log of all that is about to be shown. What was made just now was never
    /// used, and nobody wants to be told so.
    pub(super) async fn with_last_use(&self, mut outcome: Outcome) -> Outcome {
        match &mut outcome {
            Outcome::Listed(listing) => self.tell(&mut listing.views).await,
            Outcome::Shown(view) | Outcome::Updated(view) => {
                self.tell(std::slice::from_mut(view)).await;
            }
            Outcome::Created(_) | Outcome::Deleted => {}
        }
        outcome
    }

    async fn tell(&self, views: &mut [View]) {
        let Some(log) = self.usage.as_deref().filter(|_| !views.is_empty()) else { return };
        let ids: Vec<_> = views.iter().map(|view| view.credential.id.clone()).collect();
        let told = timeout(PATIENCE, log.last_used(&ids)).await;
        let told = told.unwrap_or_else(|late| Err(UsageError::new(late)));
        let told = match told {
            Ok(told) => told,
            Err(error) => {
                let cause = log::cause(&error);
                tracing::warn!(%error, cause, "uses of keys are left out of an answer");
                return;
            }
        };
        for view in views {
            let at = told.get(&view.credential.id).copied();
            let own = at.filter(|at| !is_older(*at, &view.credential));
            view.last_used = own.map_or(LastUsed::Never, LastUsed::At);
        }
    }
}

/// Whether this was a use of another key, deleted since, with the same access key:
/// what is known of it may be reported when the new one is there already.
fn is_older(use_at: SystemTime, credential: &Credential) -> bool {
    whole_seconds(use_at) < whole_seconds(credential.created_at)
}
