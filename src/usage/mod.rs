//! When keys were last used.
//!
//! Whoever checks signatures tells a [`UsageRecorder`] of each use; every minute or
//! so it reports to a [`UsageLog`] what it heard. The layer shows what the log knows:
//! see [`CredentialLayerBuilder::usage`](crate::CredentialLayerBuilder::usage).

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

/// Remembers when keys were last used.
///
/// # Contract
///
/// * **The latest use wins**, in whatever order, how often, and by whomever uses are
///   reported, of racing reports too: an older use never moves a later one back.
///   So a report whose fate is unknown can be made again.
/// * **Times are whole seconds** since 1970. Fractions may be cut off.
/// * **"Not there" is no error.** What is reported of a key that does not exist is
///   ignored, or kept until it is tidied up; it disturbs nothing else in the report.
///   A key of which no use is known is not in the answer.
/// * **Reads see every report that was answered before they started.** When a report
///   fails, some of it may have been noted.
/// * **A key's use stays when its record changes, and goes with it.** A log that is
///   kept with the keys forgets in the step that deletes one; one that is kept
///   apart forgets what was not used for long.
/// * **No clock and no rules.** Times come in the report; who may see them is decided
///   elsewhere.
///
/// With the feature `conformance`, these clauses are tests to run against your own
/// implementation: see [`conformance::usage`](crate::conformance::usage).
#[async_trait]
pub trait UsageLog: fmt::Debug + Send + Sync + 'static {
    /// Notes when keys were used; the same key may come more than once.
    ///
    /// [`UsageRecorder`] reports at most [`UsageRecorder::BATCH`] keys at once.
    ///
    /// # Errors
    ///
    /// [`UsageError`] if not all of it could be noted.
    async fn note(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError>;

    /// When each of these keys was last used, as far as that is known.
    ///
    /// The layer asks for one page at once, at most
    /// [`ListQuery::MAX_LIMIT`](crate::backend::ListQuery::MAX_LIMIT) keys.
    ///
    /// # Errors
    ///
    /// [`UsageError`] if that could not be found out.
    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError>;
}

/// The log could not be written or read; retrying may help.
#[derive(Debug)]
pub struct UsageError(Box<dyn StdError + Send + Sync>);

impl UsageError {
    /// Wraps what went wrong.
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

/// Whole seconds since 1970; times before are 1970.
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
