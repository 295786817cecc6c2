//! A validator, a directory, a backend and request bodies that fail.

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tower_credentials::{
    async_trait,
    auth::{AuthError, Presented, TokenValidator},
    backend::{BackendError, CredentialBackend, ListQuery, Page, memory::MemoryBackend},
    directory::{DelegatedAccess, Directory, DirectoryError, Membership, Project, User},
    domain::{
        AccessKey, Caller, Credential, CredentialId, Delegation, ProjectId, Quota, Slot, UserId,
        Version,
    },
};

use super::BoxError;
/// The cause of the failures below.
pub use super::registry::CAUSE;

/// A validator that rejects every caller.
#[derive(Clone, Copy, Debug)]
pub enum Refusing {
    Disabled,
    Down,
    Expired,
}

#[async_trait]
impl TokenValidator for Refusing {
    async fn validate(&self, _: &Presented) -> Result<Arc<Caller>, AuthError> {
        Err(match self {
            Self::Disabled => AuthError::UserDisabled,
            Self::Down => AuthError::Unavailable(CAUSE.into()),
            Self::Expired => AuthError::Expired,
        })
    }
}

/// A directory whose lookups fail.
#[derive(Clone, Copy, Debug)]
pub struct DownDirectory;

#[async_trait]
impl Directory for DownDirectory {
    fn is_open(&self) -> bool {
        false
    }

    fn revision(&self) -> Option<u64> {
        None
    }

    async fn user(&self, _: &UserId) -> Result<Option<User>, DirectoryError> {
        Err(DirectoryError::new(CAUSE))
    }

    async fn project(&self, _: &ProjectId) -> Result<Option<Project>, DirectoryError> {
        Err(DirectoryError::new(CAUSE))
    }

    async fn membership(
        &self,
        _: &UserId,
        _: &ProjectId,
    ) -> Result<Option<Membership>, DirectoryError> {
        Err(DirectoryError::new(CAUSE))
    }

    async fn delegation(
        &self,
        _: &UserId,
        _: &Delegation,
    ) -> Result<Option<DelegatedAccess>, DirectoryError> {
        Err(DirectoryError::new(CAUSE))
    }
}

/// A store that tests can make unavailable. Counts the pages that it returns.
#[derive(Debug, Default)]
pub struct Flaky {
    inner: MemoryBackend,
    down: AtomicBool,
    pages: AtomicUsize,
}

impl Flaky {
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// The number of pages since the last call.
    pub fn take_pages(&self) -> usize {
        self.pages.swap(0, Ordering::SeqCst)
    }

    fn inner(&self) -> Result<&MemoryBackend, BackendError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(BackendError::Unavailable(CAUSE.into()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl CredentialBackend for Flaky {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        self.inner()?.insert(credential, quota).await
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.inner()?.get(id).await
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.inner()?.find_by_access_key(access_key).await
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.inner()?.find_by_slot(user_id, slot).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.pages.fetch_add(1, Ordering::SeqCst);
        self.inner()?.list(query).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        self.inner()?.update(credential, expected).await
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        self.inner()?.rotate(credential, quota, retired, expected).await
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        self.inner()?.delete(id, expected).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        self.inner()?.purge_user(user_id).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.inner()?.purge_project(project_id).await
    }
}

/// A body that counts its polls and ends in the given way.
#[derive(Debug)]
pub struct Stream {
    chunks: std::vec::IntoIter<Bytes>,
    end: End,
    polled: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The body ends with an error.
    Broken,
    /// The body ends normally.
    Clean,
    /// The body never ends.
    Stalled,
}

impl Stream {
    pub fn new<const N: usize>(chunks: [&str; N], end: End) -> Self {
        let chunks: Vec<_> = chunks.iter().map(|c| Bytes::copy_from_slice(c.as_bytes())).collect();
        Self { chunks: chunks.into_iter(), end, polled: Arc::default() }
    }

    /// The number of polls so far.
    pub fn polled(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.polled)
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.polled.fetch_add(1, Ordering::SeqCst);
        if let Some(chunk) = self.chunks.next() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match self.end {
            End::Broken => Poll::Ready(Some(Err("connection reset by peer".into()))),
            End::Clean => Poll::Ready(None),
            End::Stalled => std::pin::pin!(pending()).poll(cx),
        }
    }
}
