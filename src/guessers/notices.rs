//! [`Notices`]: at most one log line per second about guessers.

use std::{
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use super::guess::{Guess, Prefix};

/// Logs the guessers that are slowed down.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    /// The second of the last line, since the epoch.
    second: Option<u64>,
    /// How many lines were left out since.
    left_out: u64,
}

impl Notices {
    /// Logs that the failing requests of a network are answered late from now on, unless a line
    /// was written in this second.
    pub(super) fn slowed(&self, source: Prefix, guess: &Guess, now: SystemTime) {
        if let Some(left_out) = self.next(now) {
            tracing::warn!(
                target: "tower_credentials::guessers",
                %source,
                guessed = %guess,
                left_out,
                "too many failures: further ones are answered late"
            );
        }
    }

    /// Returns how many lines were left out before the next one, if it may be written now.
    fn next(&self, now: SystemTime) -> Option<u64> {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.second == Some(second) {
            last.left_out = last.left_out.saturating_add(1);
            return None;
        }
        let left_out = last.left_out;
        *last = Last { second: Some(second), left_out: 0 };
        Some(left_out)
    }
}
