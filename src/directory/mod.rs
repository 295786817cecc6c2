//! Looks up users and projects, and the places of users in projects.
//!
//! Implement [`Directory`] for the user database of an app, or use a [`StaticDirectory`]. With a
//! directory, the layer rejects unknown users and projects, and data planes reject keys whose
//! owner has left the project. [`OpenDirectory`] is the default.

use std::{borrow::Cow, fmt, sync::Arc};

use async_trait::async_trait;

use crate::domain::{Delegation, ProjectId, UserId};

mod open;
mod static_directory;

pub use self::{open::OpenDirectory, static_directory::StaticDirectory};

/// Knows users, projects and places of users in projects.
///
/// # Contract
///
/// * "Not found" is `None`, never an error. A failure is an error, never `None`: otherwise an
///   outage would look like a deleted user.
/// * Answers may be as old as the implementation documents, and no older.
/// * Data planes remember answers until the [revision](Self::revision) changes, or for one
///   second if the directory reports no revision.
#[async_trait]
pub trait Directory: fmt::Debug + Send + Sync + 'static {
    /// Returns true if every user and project exists and no place is known, as in
    /// [`OpenDirectory`].
    ///
    /// Builders treat an open directory as none: an answer of such a directory proves
    /// nothing about the user.
    fn is_open(&self) -> bool;

    /// Returns a number that changes whenever an answer may have changed; `None` if the
    /// directory cannot tell, for now or ever.
    ///
    /// Data planes compare this number for every signed request, and ask nothing else
    /// while it stays the same. So the method must be cheap: no lock that a writer holds
    /// for long, no allocation.
    ///
    /// The number never returns to an earlier value. It changes after the answers do, or
    /// together with them, never before: otherwise an old answer would be remembered
    /// under the new number.
    fn revision(&self) -> Option<u64>;

    /// Returns the user with this id.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] if the lookup fails.
    async fn user(&self, id: &UserId) -> Result<Option<User>, DirectoryError>;

    /// Returns the project with this id.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] if the lookup fails.
    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, DirectoryError>;

    /// Returns the user's place in the project with the user's roles there, or `None` if the
    /// user has no place in it.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] if the lookup fails.
    async fn membership(
        &self,
        user_id: &UserId,
        project_id: &ProjectId,
    ) -> Result<Option<Membership>, DirectoryError>;

    /// Returns the current rights of the delegation of a stored credential, or `None` if the
    /// delegation has ended or is unknown. `user_id` is the owner of the credential: some
    /// delegations can only be looked up by owner.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] if the lookup fails.
    async fn delegation(
        &self,
        user_id: &UserId,
        delegation: &Delegation,
    ) -> Result<Option<DelegatedAccess>, DirectoryError>;
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The user's name.
    pub name: String,
    /// The domain that the user belongs to.
    pub domain: Domain,
    /// Whether the user may do anything.
    pub enabled: bool,
    /// The project that applies if a request names none.
    pub default_project_id: Option<ProjectId>,
}

impl User {
    /// An enabled user of the default domain, without a default project.
    #[must_use]
    pub fn new(id: UserId, name: impl Into<String>) -> Self {
        let (domain, name) = (Domain::default(), name.into());
        Self { id, name, domain, enabled: true, default_project_id: None }
    }
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Project {
    /// The project's id.
    pub id: ProjectId,
    /// The project's name.
    pub name: String,
    /// The domain that the project belongs to.
    pub domain: Domain,
    /// Whether the project may be used.
    pub enabled: bool,
}

impl Project {
    /// An enabled project of the default domain.
    #[must_use]
    pub fn new(id: ProjectId, name: impl Into<String>) -> Self {
        Self { id, name: name.into(), domain: Domain::default(), enabled: true }
    }
}

/// A domain, Keystone's container of users and projects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Domain {
    /// The domain's id.
    pub id: Cow<'static, str>,
    /// The domain's name.
    pub name: Cow<'static, str>,
}

impl Domain {
    /// Creates a domain.
    #[must_use]
    pub fn new(id: impl Into<Cow<'static, str>>, name: impl Into<Cow<'static, str>>) -> Self {
        Self { id: id.into(), name: name.into() }
    }
}

impl Default for Domain {
    /// Keystone's own default domain.
    fn default() -> Self {
        Self { id: "default".into(), name: "Default".into() }
    }
}

/// A user's place in a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Membership {
    /// The user's effective roles there; empty if the place has no roles.
    pub roles: Vec<Role>,
}

impl Membership {
    /// Creates a place with these roles.
    #[must_use]
    pub fn new(roles: Vec<Role>) -> Self {
        Self { roles }
    }
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Role {
    /// The role's id.
    pub id: String,
    /// The role's name.
    pub name: String,
}

impl Role {
    /// Creates a role.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into() }
    }
}

/// The current rights of a delegation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DelegatedAccess {
    /// The user who acts.
    pub user_id: UserId,
    /// The only project in which it may be used, if it is bound to one.
    pub project_id: Option<ProjectId>,
    /// The roles that it gives there.
    pub roles: Vec<Role>,
}

impl DelegatedAccess {
    /// Creates the rights of a delegation to this user.
    #[must_use]
    pub fn new(user_id: UserId, project_id: Option<ProjectId>, roles: Vec<Role>) -> Self {
        Self { user_id, project_id, roles }
    }
}

wrapping_error! {
    /// A lookup in the directory failed; retrying may help.
    DirectoryError, "directory unavailable"
}

forward_pointers!(Directory {
    fn is_open(&self) -> bool;
    fn revision(&self) -> Option<u64>;
    async fn user(&self, id: &UserId) -> Result<Option<User>, DirectoryError>;
    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, DirectoryError>;
    async fn membership(
        &self,
        user_id: &UserId,
        project_id: &ProjectId
    ) -> Result<Option<Membership>, DirectoryError>;
    async fn delegation(
        &self,
        user_id: &UserId,
        delegation: &Delegation
    ) -> Result<Option<DelegatedAccess>, DirectoryError>;
});

/// The directory for a builder to keep, or `None` if it is open.
pub(crate) fn unless_open(directory: impl Directory) -> Option<Arc<dyn Directory>> {
    if directory.is_open() { None } else { Some(Arc::new(directory)) }
}
