//! Deletions of users and projects whose outcome is unknown.
//!
//! Keystone may complete a deletion after the front's timeout, and then returns 404 for a retry. So
//! a background task asks Keystone, as the service user, whether the owner still exists.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::sleep;
use tower_credentials::keystone::{KeystoneAnswer, KeystoneClient};

use crate::purge::{Deletion, Owner, Purger};

/// The pause before each check, in seconds.
const PAUSES: [u64; 6] = [1, 4, 15, 40, 120, 240];

/// How many owners are checked at once. Any client can cause a failed request.
const MAX_CHECKS: usize = 256;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Checks owners in the background. Clones share the running checks.
#[derive(Clone, Debug)]
pub struct IndeterminateDeletions {
    keystone: KeystoneClient,
    purger: Purger,
    running: Arc<Mutex<HashSet<Owner>>>,
}

impl IndeterminateDeletions {
    pub fn new(keystone: KeystoneClient, purger: Purger) -> Self {
        Self { keystone, purger, running: Arc::default() }
    }

    /// Whether the owner may or may not exist after a deletion with this status.
    pub fn is_indeterminate(status: StatusCode) -> bool {
        // The front returns 501 before it calls Keystone.
        let failed = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        failed || matches!(status, StatusCode::NOT_FOUND | StatusCode::REQUEST_TIMEOUT)
    }

    /// Checks in the background, and purges the keys if the owner does not exist.
    pub fn check(&self, owner: Owner) {
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.contains(&owner) {
                return;
            }
            if running.len() >= MAX_CHECKS {
                tracing::warn!(%owner, "cannot check whether the owner was deleted: too many checks are running");
                return;
            }
            running.insert(owner.clone());
        }
        let this = self.clone();
        tokio::spawn(async move {
            let is_deleted = this.is_deleted(&owner).await;
            this.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&owner);
            if is_deleted {
                this.purger.purge(Deletion::found(owner)).await;
            }
        });
    }

    async fn is_deleted(&self, owner: &Owner) -> bool {
        let path = match owner {
            Owner::Project(id) => format!("/projects/{}", encoded(id.as_str())),
            Owner::User(id) => format!("/users/{}", encoded(id.as_str())),
        };
        for seconds in PAUSES {
            sleep(Duration::from_secs(seconds)).await;
            match self.keystone.call(Method::GET, &path, None).await {
                Ok(response) if says_deleted(&response) => return true,
                Ok(response) => {
                    tracing::debug!(%owner, status = response.status.as_u16(), "Keystone does not confirm the deletion");
                }
                Err(error) => {
                    tracing::warn!(%error, %owner, "cannot ask Keystone whether the owner was deleted");
                }
            }
        }
        tracing::info!(%owner, "stopped checking: Keystone did not confirm the deletion");
        false
    }
}

/// Whether Keystone returned 404. The 404 of a proxy does not count.
fn says_deleted(response: &KeystoneAnswer) -> bool {
    let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
    response.status == StatusCode::NOT_FOUND && body["error"]["code"] == 404
}

fn encoded(id: &str) -> String {
    utf8_percent_encode(id, RESERVED).to_string()
}
