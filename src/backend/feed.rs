//! What changes in a store, as it happens.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::error::BackendError;
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, UserId};

/// How long a subscription waits at the most before it tells that there is nothing to
/// tell.
pub const MAX_FEED_WAIT: Duration = Duration::from_millis(250);

/// Tells those who remember records what changed in the store, whoever changed it.
///
/// # Contract
///
/// * **Nothing is missed.** Every change that is answered after
///   [`subscribe`](Self::subscribe) returned is told, those of other processes and of
///   the caller too; earlier ones may be. What cannot be told one by one is told as
///   [`Change::Everything`].
/// * **In order.** Changes of one record are told in the order in which they were made.
///   The same change may be told twice.
/// * **Silence is told from trouble.** A [`Notice`] comes every [`MAX_FEED_WAIT`] or so while
///   the store can be reached, and says whether it is [complete](Notice::is_complete).
///   When the store cannot be reached, or when something may have been missed, the
///   subscription ends with an error; whoever subscribes anew takes everything for
///   changed.
/// * A change is told after it was made: who hears of it and asks the store gets the
///   new state.
///
/// With the feature `conformance`, each clause is a test to run against your own
/// implementation: see `conformance::feed`.
#[async_trait]
pub trait ChangeFeed: fmt::Debug + Send + Sync + 'static {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// [`BackendError::Unavailable`] if the store cannot be reached or tells no changes.
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError>;
}

/// One subscription to a [`ChangeFeed`]. Dropping it ends it.
#[async_trait]
pub trait Changes: fmt::Debug + Send + 'static {
    /// Waits for what is to be told next. When a call fails, or is given up before it
    /// returns, the subscription is over.
    ///
    /// # Errors
    ///
    /// [`BackendError::Unavailable`] if changes may have been missed.
    async fn next(&mut self) -> Result<Notice, BackendError>;
}

/// What a subscription tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// Changes that were made, in this order; may be none.
    pub changes: Vec<Change>,
    /// Whether every change that was answered before this call of
    /// [`next`](Changes::next) began has been told now, these included. While changes
    /// come in all the time it may take some calls until one is.
    pub is_complete: bool,
}

/// A change in a store. It tells where to look and not what is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Anything may have changed.
    Everything,
    /// The records of a project were purged.
    Project(ProjectId),
    /// A record was written or deleted.
    Record {
        /// The record's id.
        id: CredentialId,
        /// The access key that it has now, if it was written and has one.
        access_key: Option<AccessKey>,
    },
    /// The records of a user were purged.
    User(UserId),
}

impl Change {
    /// The change that writing this record is.
    #[must_use]
    pub fn written(credential: &Credential) -> Self {
        Self::Record { id: credential.id.clone(), access_key: credential.access_key.clone() }
    }

    /// The change that deleting this record is.
    #[must_use]
    pub fn deleted(id: CredentialId) -> Self {
        Self::Record { id, access_key: None }
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: ChangeFeed + ?Sized> ChangeFeed for $pointer<T> {
            async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
                (**self).subscribe().await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
