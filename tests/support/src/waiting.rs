//! Waiting for another process.

use std::time::Duration;

/// How long a test waits before it fails.
const TIMEOUT: Duration = Duration::from_mins(1);

/// An iterator that ends after the timeout. The caller sleeps for [`STEP`](Self::STEP) in each
/// round.
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
