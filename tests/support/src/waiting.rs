//! Waiting for another process.

use std::time::Duration;

/// How long a test waits before it fails.
const TIMEOUT: Duration = Duration::from_mins(2);

/// An iterator that ends after the timeout. The caller sleeps for [`STEP`](Self::STEP), or for
/// the step that it named, in each round.
pub struct Waiting {
    left: Duration,
    step: Duration,
}

impl Waiting {
    pub const STEP: Duration = Duration::from_millis(10);

    pub fn start() -> Self {
        Self::every(Self::STEP)
    }

    pub fn every(step: Duration) -> Self {
        Self { left: TIMEOUT, step }
    }
}

impl Iterator for Waiting {
    type Item = ();

    fn next(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(self.step)?;
        Some(())
    }
}
