//! Whether an owner is gone whose deletion did not end in a confirmation.
//!
//! Keystone may finish a deletion after the front has given up on the answer, and
//! then says "no such user" to whoever tries again. So Keystone is asked in the
//! background, as the service user.

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

use crate::purge::{Owner, Purger};

/// How long to wait before each question; after the last there is none.
const WAITS: [u64; 6] = [1, 4, 15, 40, 120, 240];

/// How many owners are asked about at once: anybody can have a request fail.
const AT_ONCE: usize = 256;

/// All but what RFC 3986 leaves as it is everywhere.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Asks about owners. A clone asks about the same.
#[derive(Clone, Debug)]
pub struct Doubts {
    keystone: KeystoneClient,
    purger: Purger,
    asking: Arc<Mutex<HashSet<Owner>>>,
}

impl Doubts {
    pub fn new(keystone: KeystoneClient, purger: Purger) -> Self {
        Self { keystone, purger, asking: Arc::default() }
    }

    /// Whether an answer to a deletion leaves open if there is still somebody.
    pub fn open(status: StatusCode) -> bool {
        // 501 is refused before Keystone is asked.
        let failed = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        failed || matches!(status, StatusCode::NOT_FOUND | StatusCode::REQUEST_TIMEOUT)
    }

    /// Finds out in the background, and purges who is gone.
    pub fn ask(&self, owner: Owner) {
        {
            let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
            if asking.contains(&owner) {
                return;
            }
            if asking.len() >= AT_ONCE {
                tracing::warn!(%owner, "not asked whether it is deleted: too many are");
                return;
            }
            asking.insert(owner.clone());
        }
        let this = self.clone();
        tokio::spawn(async move {
            let gone = this.is_gone(&owner).await;
            this.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&owner);
            if gone {
                this.purger.purge(owner).await;
            }
        });
    }

    async fn is_gone(&self, owner: &Owner) -> bool {
        let path = match owner {
            Owner::Project(id) => format!("/projects/{}", encoded(id.as_str())),
            Owner::User(id) => format!("/users/{}", encoded(id.as_str())),
        };
        for seconds in WAITS {
            sleep(Duration::from_secs(seconds)).await;
            match self.keystone.call(Method::GET, &path, None).await {
                Ok(answer) if says_gone(&answer) => return true,
                Ok(answer) => {
                    tracing::debug!(%owner, status = answer.status.as_u16(), "not known to be gone");
                }
                Err(error) => tracing::warn!(%error, %owner, "cannot ask whether it is deleted"),
            }
        }
        tracing::info!(%owner, "not deleted, as far as Keystone tells");
        false
    }
}

/// Whether it is Keystone itself that knows no such owner, and not a proxy that knows
/// no such path.
fn says_gone(answer: &KeystoneAnswer) -> bool {
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    answer.status == StatusCode::NOT_FOUND && body["error"]["code"] == 404
}

fn encoded(id: &str) -> String {
    utf8_percent_encode(id, RESERVED).to_string()
}
