use std::{fmt, time::Duration};

use async_trait::async_trait;

use super::error::BackendError;
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, UserId};

/// The longest time between two notices of a subscription, also if nothing changes.
pub const MAX_FEED_WAIT: Duration = Duration::from_millis(250);

/// Reports changes in the store to caches, whichever process made the change.
///
/// # Contract
///
/// * **No change is missed.** The subscription reports every write that returns after
///   [`subscribe`](Self::subscribe) returned, including those of other processes and of the
///   caller. It may report earlier writes too. Changes that cannot be reported one by one are
///   reported as [`Change::Everything`].
/// * **In order.** Changes of one record are reported in the order in which they were made.
///   A change may be reported twice.
/// * **An idle feed differs from a broken one.** A [`Notice`] arrives about every
///   [`MAX_FEED_WAIT`] while the store can be reached, and says whether it is
///   [complete](Notice::is_complete). When the store cannot be reached, or when a change may
///   have been missed, the subscription ends with an error. After subscribing again, the
///   caller must assume that everything changed.
/// * A change is reported after it was made: a read that follows the report returns the new
///   state.
///
/// With the feature `conformance`, each clause is a test to run against your own
/// implementation: see `conformance::feed`.
#[async_trait]
pub trait ChangeFeed: fmt::Debug + Send + Sync + 'static {
    /// Starts a subscription.
    ///
    /// # Errors
    ///
    /// [`BackendError::Unavailable`] if the store cannot be reached or cannot report
    /// changes.
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError>;
}

/// One subscription to a [`ChangeFeed`]. Dropping it ends it.
#[async_trait]
pub trait Changes: fmt::Debug + Send + 'static {
    /// Waits for the next notice. When a call fails, or its future is dropped before it
    /// returns, the subscription has ended.
    ///
    /// # Errors
    ///
    /// [`BackendError::Unavailable`] if changes may have been missed.
    async fn next(&mut self) -> Result<Notice, BackendError>;
}

/// A report of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// The changes, in the order in which they were made; may be empty.
    pub changes: Vec<Change>,
    /// Whether all changes are now reported, including these, whose writes returned before this
    /// call of [`next`](Changes::next) started. Under constant writes some calls may pass
    /// before a notice is complete.
    pub is_complete: bool,
}

impl Notice {
    /// Creates a notice.
    #[must_use]
    pub fn new(changes: Vec<Change>, is_complete: bool) -> Self {
        Self { changes, is_complete }
    }
}

/// A change in a store: which records changed, without their new state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Any record may have changed.
    Everything,
    /// The records of a project were purged.
    Project(ProjectId),
    /// A record was written or deleted.
    Record {
        /// The record's id.
        id: CredentialId,
        /// The access key of the written record; `None` if it has none or was deleted.
        access_key: Option<AccessKey>,
    },
    /// The records of a user were purged.
    User(UserId),
}

impl Change {
    /// Returns the change for a record that was written.
    #[must_use]
    pub fn written(credential: &Credential) -> Self {
        Self::Record { id: credential.id.clone(), access_key: credential.access_key.clone() }
    }

    /// Returns the change for a record that was deleted.
    #[must_use]
    pub fn deleted(id: CredentialId) -> Self {
        Self::Record { id, access_key: None }
    }
}

forward_pointers!(ChangeFeed {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError>;
});

#[async_trait]
impl<T: Changes + ?Sized> Changes for Box<T> {
    async fn next(&mut self) -> Result<Notice, BackendError> {
        (**self).next().await
    }
}
