//! [`OpenDirectory`]: the directory for an app without users of its own.

use async_trait::async_trait;

use super::{DelegatedAccess, Directory, DirectoryError, Membership, Project, User};
use crate::domain::{Delegation, ProjectId, UserId};

/// A directory in which every user and project exists, and every user has a place without
/// roles in every project. It knows no delegations.
///
/// This is the default. It suits apps whose tokens are scoped to existing projects and whose
/// callers manage only their own keys. Without a real directory, an administrator's spelling
/// mistake creates a key for a user who does not exist.
///
/// Builders treat it as no directory at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenDirectory;

#[async_trait]
impl Directory for OpenDirectory {
    fn is_open(&self) -> bool {
        true
    }

    fn revision(&self) -> Option<u64> {
        Some(0)
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, DirectoryError> {
        Ok(Some(User::new(id.clone(), id.as_str())))
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, DirectoryError> {
        Ok(Some(Project::new(id.clone(), id.as_str())))
    }

    async fn membership(
        &self,
        _: &UserId,
        _: &ProjectId,
    ) -> Result<Option<Membership>, DirectoryError> {
        Ok(Some(Membership::default()))
    }

    async fn delegation(
        &self,
        _: &UserId,
        _: &Delegation,
    ) -> Result<Option<DelegatedAccess>, DirectoryError> {
        Ok(None)
    }
}
