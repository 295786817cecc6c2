//! Records when keys were last used.
//!
//! A verifier reports each use to a [`UsageRecorder`], which writes to a [`UsageLog`] about
//! every minute. The layer shows the times of the log: see
//! [`CredentialLayerBuilder::usage`](crate::CredentialLayerBuilder::usage).

use std::{
    collections::HashMap,
    error::Error as StdError,
    fmt,
    sync::Arc,
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
    async fn note(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError>;

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

/// The log could not be written or read; retrying may help.
#[derive(Debug)]
pub struct UsageError(Box<dyn StdError + Send + Sync>);

impl UsageError {
    /// Wraps the cause.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("log of uses unavailable")
    }
}

impl StdError for UsageError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// Returns the whole seconds since 1970; zero for earlier times.
pub(crate) fn whole_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: UsageLog + ?Sized> UsageLog for $pointer<T> {
            async fn note(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
                (**self).note(uses).await
            }

            async fn last_used(
                &self,
                ids: &[CredentialId],
            ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
                (**self).last_used(ids).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
