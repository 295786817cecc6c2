//! Records when keys were last used.
//!
//! A verifier reports each use to a [`UsageRecorder`], which writes to a [`UsageLog`] about
//! every minute. The layer shows the times of the log: see
//! [`CredentialLayerBuilder::usage`](crate::CredentialLayerBuilder::usage).

use std::{
    collections::HashMap,
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;

use crate::domain::CredentialId;

mod recent;
mod recorder;
mod waiting;

pub use self::recorder::{UsageRecorder, UsageRecorderBuilder};

/// Stores when keys were last used.
///
/// # Contract
///
/// * **The latest use wins**, regardless of the order and number of reports, and of races
///   between them: an older use never replaces a later one. So a report with an unknown
///   outcome can be repeated.
/// * **Times are whole seconds** since 1970. Fractions may be cut off.
/// * **A key that does not exist is not an error.** Its use is ignored, or stored until the
///   log is cleaned up; the rest of the report is not affected. Keys without a known use are
///   not in the result of [`last_used`](Self::last_used).
/// * **Reads see every report that returned before they started.** A failed report may be
///   stored in part.
/// * **A use is kept when the key's record changes, and deleted with the record.** A log that
///   is stored with the keys deletes it in the same step. A separate log deletes entries that
///   are old.
/// * **No clock and no rules.** Times come in the report. The caller decides who may see them.
///
/// With the feature `conformance`, these clauses are tests to run against your own
/// implementation: see [`conformance::usage`](crate::conformance::usage).
#[async_trait]
pub trait UsageLog: fmt::Debug + Send + Sync + 'static {
    /// Records when keys were used. The same key may occur more than once.
    ///
    /// [`UsageRecorder`] reports at most [`UsageRecorder::BATCH`] keys at once.
    ///
    /// # Errors
    ///
    /// [`UsageError`] if the report was not stored completely.
    async fn record(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError>;

    /// Returns when each of these keys was last used, as far as that is known.
    ///
    /// The layer asks for the keys of one page in a call, at most
    /// [`ListQuery::MAX_LIMIT`](crate::backend::ListQuery::MAX_LIMIT) keys.
    ///
    /// # Errors
    ///
    /// [`UsageError`] if the log could not be read.
    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError>;
}

wrapping_error! {
    /// The log could not be written or read; retrying may help.
    UsageError, "log of uses unavailable"
}

/// Returns the whole seconds since 1970; zero for earlier times.
pub(crate) fn whole_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

type Uses = HashMap<CredentialId, SystemTime>;

forward_pointers!(UsageLog {
    async fn record(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError>;
    async fn last_used(&self, ids: &[CredentialId]) -> Result<Uses, UsageError>;
});
