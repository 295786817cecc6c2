//! [`MintLimit`]: how many credentials and sessions a caller may create in a minute.

use std::{num::NonZeroU32, time::SystemTime};

use crate::{
    counters::Counters,
    domain::UserId,
    error::{Error, ErrorKind},
};

/// The memory of the counts: about 15,000 callers in one minute.
const MEMORY: usize = 1 << 18;

/// Counts what callers create.
#[derive(Debug)]
pub(crate) struct MintLimit {
    per_minute: NonZeroU32,
    counters: Counters,
}

impl MintLimit {
    pub(crate) fn new(per_minute: NonZeroU32) -> Self {
        Self { per_minute, counters: Counters::new(MEMORY) }
    }

    /// Counts a credential or session that a caller creates.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooManyRequests`] if the caller has created as many in this minute as it may.
    pub(super) fn count(&self, caller: &UserId, now: SystemTime) -> Result<(), Error> {
        if self.counters.add(&caller.as_str(), now) <= self.per_minute.get() {
            return Ok(());
        }
        let message = "You have created too many credentials in this minute. Try again later.";
        Err(Error::new(ErrorKind::TooManyRequests, message))
    }
}
