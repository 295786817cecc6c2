//! Looks up users, projects, memberships and delegations.

use std::{hash::Hash, sync::Arc};

use async_trait::async_trait;

use crate::{
    directory::{DelegatedAccess, Directory, DirectoryError, Domain, Membership, Project, User},
    domain::{Delegation, ProjectId, UserId},
};

use super::{
    cache::AgedCache,
    client::KeystoneClient,
    delegation::{self, DelegationInfo},
    error::KeystoneError,
    lookup::{self, DomainInfo, ProjectInfo, UserInfo},
};

/// Looks up users, projects, memberships and delegations in Keystone, and caches the answers.
///
/// The [`KeystoneClient`] sets the lifetime and the size of the caches, and what happens during an
/// outage of Keystone. What does not exist is cached for 5 seconds.
///
/// A user or project of a disabled domain is disabled too. Roles are the effective ones, including
/// inherited and implied ones and those of groups.
///
/// ```
/// use tower_credentials::keystone::{KeystoneClient, KeystoneDirectory, ServiceLogin};
///
/// let client = KeystoneClient::builder("http://127.0.0.1:5000")
///     .login(ServiceLogin::system("s3", "a-password"))
///     .build()?;
/// let directory = KeystoneDirectory::new(client);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeystoneDirectory {
    client: KeystoneClient,
    // Parts are cached and answers are assembled, so that no answer is older than its parts may be.
    users: AgedCache<UserId, Arc<UserInfo>>,
    projects: AgedCache<ProjectId, Arc<ProjectInfo>>,
    domains: AgedCache<String, Arc<DomainInfo>>,
    memberships: AgedCache<(UserId, ProjectId), Arc<Membership>>,
    delegations: AgedCache<(UserId, Delegation), Arc<DelegationInfo>>,
}

impl KeystoneDirectory {
    /// Creates a directory that asks with this client and has the client's cache settings.
    #[must_use]
    pub fn new(client: KeystoneClient) -> Self {
        fn cache<K, V>(client: &KeystoneClient) -> AgedCache<K, V>
        where
            K: Clone + Eq + Hash + Send + Sync + 'static,
            V: Clone + Send + Sync + 'static,
        {
            AgedCache::new(client.cache(), Arc::clone(client.clock()))
        }
        Self {
            users: cache(&client),
            projects: cache(&client),
            domains: cache(&client),
            memberships: cache(&client),
            delegations: cache(&client),
            client,
        }
    }

    async fn domain(&self, id: &str) -> Result<Arc<DomainInfo>, KeystoneError> {
        let id = id.to_owned();
        let fetch = || lookup::domain(self.client.clone(), id.clone());
        let domain = self.domains.get(&id, fetch).await?;
        Ok(domain.unwrap_or_else(|| Arc::new(DomainInfo::unknown(&id))))
    }

    async fn find_user(&self, id: &UserId) -> Result<Option<User>, KeystoneError> {
        let fetch = || lookup::user(self.client.clone(), id.clone());
        let Some(info) = self.users.get(id, fetch).await? else { return Ok(None) };
        let domain = self.domain(&info.domain_id).await?;
        let mut user = User::new(id.clone(), info.name.clone());
        user.enabled = info.enabled && domain.enabled;
        user.domain = named(&info.domain_id, &domain);
        user.default_project_id.clone_from(&info.default_project_id);
        Ok(Some(user))
    }

    async fn find_project(&self, id: &ProjectId) -> Result<Option<Project>, KeystoneError> {
        let fetch = || lookup::project(self.client.clone(), id.clone());
        let Some(info) = self.projects.get(id, fetch).await? else { return Ok(None) };
        // A project that is a domain itself belongs to no other.
        let domain_id = info.domain_id.as_deref().unwrap_or(id.as_str());
        let domain = self.domain(domain_id).await?;
        let mut project = Project::new(id.clone(), info.name.clone());
        project.enabled = info.enabled && domain.enabled;
        project.domain = named(domain_id, &domain);
        Ok(Some(project))
    }

    async fn find_membership(
        &self,
        user_id: &UserId,
        project_id: &ProjectId,
    ) -> Result<Option<Arc<Membership>>, KeystoneError> {
        let key = (user_id.clone(), project_id.clone());
        let fetch = || lookup::membership(self.client.clone(), key.clone());
        self.memberships.get(&key, fetch).await
    }

    /// Returns the delegation as long as its grantor could still grant it.
    async fn find_delegation(
        &self,
        user_id: &UserId,
        delegation: &Delegation,
    ) -> Result<Option<DelegatedAccess>, KeystoneError> {
        if matches!(delegation, Delegation::Ec2Credential | Delegation::Other) {
            return Ok(None);
        }
        let key = (user_id.clone(), delegation.clone());
        let fetch = || delegation::delegation(self.client.clone(), key.clone());
        let Some(info) = self.delegations.get(&key, fetch).await? else { return Ok(None) };
        for user_id in &info.involved {
            if !self.find_user(user_id).await?.is_some_and(|user| user.enabled) {
                return Ok(None);
            }
        }
        let roles = match &info.project_id {
            Some(project_id) => {
                let membership = self.find_membership(&info.grantor, project_id).await?;
                info.roles_within(membership.as_ref().map_or(&[], |held| &held.roles))
            }
            None => Some(Vec::new()),
        };
        let (user_id, project_id) = (info.user_id.clone(), info.project_id.clone());
        Ok(roles.map(|roles| DelegatedAccess { user_id, project_id, roles }))
    }
}

fn named(id: &str, domain: &DomainInfo) -> Domain {
    Domain { id: id.to_owned().into(), name: domain.name.clone().into() }
}

#[async_trait]
impl Directory for KeystoneDirectory {
    fn is_open(&self) -> bool {
        false
    }

    /// `None`, because Keystone does not report changes.
    fn revision(&self) -> Option<u64> {
        None
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, DirectoryError> {
        self.find_user(id).await.map_err(DirectoryError::new)
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, DirectoryError> {
        self.find_project(id).await.map_err(DirectoryError::new)
    }

    async fn membership(
        &self,
        user_id: &UserId,
        project_id: &ProjectId,
    ) -> Result<Option<Membership>, DirectoryError> {
        let found = self.find_membership(user_id, project_id).await.map_err(DirectoryError::new)?;
        Ok(found.map(|membership| Membership::clone(&membership)))
    }

    async fn delegation(
        &self,
        user_id: &UserId,
        delegation: &Delegation,
    ) -> Result<Option<DelegatedAccess>, DirectoryError> {
        self.find_delegation(user_id, delegation).await.map_err(DirectoryError::new)
    }
}
