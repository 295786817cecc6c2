//! Waiting for what another process does.

use std::time::Duration;

/// How long a test waits for anything before it fails.
const TIMEOUT: Duration = Duration::from_mins(1);

/// An iterator of pauses, which ends when the timeout has passed. The caller sleeps for [`STEP`](Self::STEP) in each.
pub struct Waiting(Duration);

impl Waiting {
    pub const STEP: Duration = Duration::from_millis(10);

    pub fn start() -> Self {
        Self(TIMEOUT)
    }
}

impl Iterator for Waiting {
    type Item = ();

    fn next(&mut self) -> Option<()> {
        self.0 = self.0.checked_sub(Self::STEP)?;
        Some(())
    }
}
