//! How much room is left.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::client::Client;
use super::error::Trouble;

/// How long a size is believed.
const FRESH: Duration = Duration::from_secs(10);

/// What part of the limit may be written before the size is asked anew.
const PART: u64 = 64;

/// Refuses what would fill the store up, before etcd does: once etcd has, it takes no
/// more writes of anyone until an operator has made room.
#[derive(Debug)]
pub(super) struct Room {
    /// In bytes, as etcd counts.
    max: u64,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    size: u64,
    asked_at: SystemTime,
    written_since: u64,
}

impl Room {
    pub(super) fn new(max: u64) -> Self {
        Self { max, known: Mutex::default() }
    }

    /// Whether this many bytes more are welcome.
    pub(super) async fn admit(&self, client: &Client, bytes: usize) -> Result<(), Trouble> {
        let now = client.clock().now();
        let size = if let Some(size) = self.known(now, bytes) {
            size
        } else {
            let status = client.status().await?;
            let size = u64::try_from(status.db_size).unwrap_or_default();
            let known = Known { size, asked_at: now, written_since: 0 };
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
            size
        };
        if size < self.max {
            return Ok(());
        }
        let max = self.max;
        Err(Trouble::full(format_args!(
            "etcd's database takes {size} bytes, and no more is added from {max} on; \
             compact and defragment it, or raise both limits"
        )))
    }

    /// The size, if it was asked for lately. A store that was full is asked each time.
    fn known(&self, now: SystemTime, bytes: usize) -> Option<u64> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_mut()?;
        known.written_since = known.written_since.saturating_add(bytes as u64);
        let is_fresh = now.duration_since(known.asked_at).is_ok_and(|age| age < FRESH);
        let fits = is_fresh && known.size < self.max && known.written_since < self.max / PART;
        fits.then_some(known.size)
    }
}
