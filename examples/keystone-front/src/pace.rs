//! How slowly a body may arrive.

use std::{collections::VecDeque, time::Duration};

/// Bodies up to this size are small: the most that Keystone accepts unless it is configured
/// otherwise.
const SMALL: u64 = 112 << 10;

/// How long a small body may be waited for.
const SMALL_WITHIN: Duration = Duration::from_mins(1);

/// Larger bodies bring at least [`LEAST`] bytes in any such time.
const WINDOW: Duration = Duration::from_secs(30);

/// 1 KiB for each second of [`WINDOW`].
const LEAST: u64 = 30 << 10;

/// The pace of one body, in time that was spent waiting for it.
///
/// A body of unknown size is small until more than [`SMALL`] bytes have arrived.
#[derive(Debug)]
pub struct Pace {
    received: u64,
    /// Of a large body: how many bytes arrived before the end of which second. Only the
    /// newest, which make up [`LEAST`] bytes together; empty for a small body.
    newest: VecDeque<(u64, u64)>,
}

impl Pace {
    /// The pace of a body of this size, if the size is known.
    pub fn new(size: Option<u64>) -> Self {
        let mut pace = Self { received: 0, newest: VecDeque::new() };
        if size.is_some_and(|size| size > SMALL) {
            pace.newest.push_back((0, LEAST));
        }
        pace
    }

    /// Counts bytes that arrived after the body was waited for this long in total.
    pub fn count(&mut self, bytes: u64, waited: Duration) {
        self.received = self.received.saturating_add(bytes);
        let second = waited.as_secs() + 1;
        match self.newest.back_mut() {
            None if self.received <= SMALL => return,
            // From here on the body is a large one, with a whole window ahead.
            None => self.newest.push_back((second, LEAST)),
            Some((last, count)) if *last == second => *count += bytes,
            Some(_) => self.newest.push_back((second, bytes)),
        }
        let mut sum: u64 = self.newest.iter().map(|(_, bytes)| bytes).sum();
        while let Some((_, oldest)) = self.newest.front()
            && sum - oldest >= LEAST
        {
            sum -= oldest;
            self.newest.pop_front();
        }
    }

    /// How long the body may be waited for in total, if nothing more of it arrives.
    pub fn limit(&self) -> Duration {
        let oldest = self.newest.front();
        oldest.map_or(SMALL_WITHIN, |(second, _)| Duration::from_secs(*second) + WINDOW)
    }
}
