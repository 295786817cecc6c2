//! [`StaticDirectory`]: a fixed set of users and projects.

use std::collections::HashMap;

use async_trait::async_trait;

use super::{DelegatedAccess, Directory, DirectoryError, Membership, Project, Role, User};
use crate::domain::{Delegation, ProjectId, UserId};

/// A fixed set of users, projects, and places of users in projects. It knows no delegations.
#[derive(Clone, Debug, Default)]
pub struct StaticDirectory {
    users: HashMap<UserId, User>,
    projects: HashMap<ProjectId, Project>,
    memberships: HashMap<(UserId, ProjectId), Membership>,
}

impl StaticDirectory {
    /// Creates an empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a user.
    #[must_use]
    pub fn with_user(mut self, user: User) -> Self {
        self.users.insert(user.id.clone(), user);
        self
    }

    /// Adds or replaces a project.
    #[must_use]
    pub fn with_project(mut self, project: Project) -> Self {
        self.projects.insert(project.id.clone(), project);
        self
    }

    /// Gives a user a place in a project, and adds these roles to those that the user has
    /// there.
    #[must_use]
    pub fn with_member<I>(mut self, user_id: UserId, project_id: ProjectId, roles: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let membership = self.memberships.entry((user_id, project_id)).or_default();
        membership.roles.extend(roles.into_iter().map(|name| {
            let name = name.into();
            Role { id: name.clone(), name }
        }));
        self
    }
}

#[async_trait]
impl Directory for StaticDirectory {
    fn is_open(&self) -> bool {
        false
    }

    /// Always the same number: the answers never change.
    fn revision(&self) -> Option<u64> {
        Some(0)
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, DirectoryError> {
        Ok(self.users.get(id).cloned())
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, DirectoryError> {
        Ok(self.projects.get(id).cloned())
    }

    async fn membership(
        &self,
        user_id: &UserId,
        project_id: &ProjectId,
    ) -> Result<Option<Membership>, DirectoryError> {
        Ok(self.memberships.get(&(user_id.clone(), project_id.clone())).cloned())
    }

    async fn delegation(
        &self,
        _: &UserId,
        _: &Delegation,
    ) -> Result<Option<DelegatedAccess>, DirectoryError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_added_users_and_projects_exist() {
        let (amy, demo) = (UserId::new("amy").unwrap(), ProjectId::new("demo").unwrap());
        let directory = StaticDirectory::new()
            .with_user(User::new(amy.clone(), "Amy"))
            .with_project(Project::new(demo.clone(), "Demo"))
            .with_member(amy.clone(), demo.clone(), ["member"])
            .with_member(amy.clone(), demo.clone(), ["reader"]);

        assert_eq!(directory.user(&amy).await.unwrap().unwrap().name, "Amy");
        assert_eq!(directory.project(&demo).await.unwrap().unwrap().domain.id, "default");
        let roles = directory.membership(&amy, &demo).await.unwrap().unwrap().roles;
        assert_eq!(roles.iter().map(|role| &*role.name).collect::<Vec<_>>(), ["member", "reader"]);

        let (bob, other) = (UserId::new("bob").unwrap(), ProjectId::new("other").unwrap());
        assert!(directory.user(&bob).await.unwrap().is_none());
        assert!(directory.project(&other).await.unwrap().is_none());
        assert!(directory.membership(&amy, &other).await.unwrap().is_none());
        assert!(directory.delegation(&amy, &Delegation::Other).await.unwrap().is_none());
    }
}
