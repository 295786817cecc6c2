//! Looks users, projects and memberships up.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    KeystoneClient, KeystoneError, Outage,
    cache::{AgedCache, Settings},
    delegation::{self, DelegationInfo},
    lookup::{self, DomainInfo, ProjectInfo, UserInfo},
};
use crate::{
    directory::{DelegatedAccess, Directory, DirectoryError, Domain, Membership, Project, User},
    domain::{Delegation, ProjectId, UserId},
};

/// Looks users, projects, memberships and delegations up in Keystone, and
/// remembers the answers for a while.
///
/// A user or project of a disabled domain is disabled too. Roles are the
/// effective ones: those through groups, inherited and implied ones included.
/// What Keystone does not know is remembered for 5 seconds.
///
/// ```
/// use tower_credentials::keystone::{KeystoneClient, KeystoneDirectory, ServiceLogin};
///
/// let login = ServiceLogin::system("s3", "a-password");
/// let client = KeystoneClient::builder("http://127.0.0.1:5000", login).build()?;
/// let directory = KeystoneDirectory::new(client);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeystoneDirectory {
    client: KeystoneClient,
    settings: Settings,
    caches: Caches,
}

/// Parts are remembered, answers put together: so no answer is older than its parts may be.
#[derive(Clone, Debug)]
struct Caches {
    users: AgedCache<UserId, Arc<UserInfo>>,
    projects: AgedCache<ProjectId, Arc<ProjectInfo>>,
    domains: AgedCache<String, Arc<DomainInfo>>,
    memberships: AgedCache<(UserId, ProjectId), Arc<Membership>>,
    delegations: AgedCache<(UserId, Delegation), Arc<DelegationInfo>>,
}

impl Caches {
    fn new(settings: Settings, client: &KeystoneClient) -> Self {
        let clock = || Arc::clone(client.clock());
        Self {
            users: AgedCache::new(settings, clock()),
            projects: AgedCache::new(settings, clock()),
            domains: AgedCache::new(settings, clock()),
            memberships: AgedCache::new(settings, clock()),
            delegations: AgedCache::new(settings, clock()),
        }
    }
}

impl KeystoneDirectory {
    /// A directory that asks with this client.
    #[must_use]
    pub fn new(client: KeystoneClient) -> Self {
        let settings = Settings::default();
        let caches = Caches::new(settings, &client);
        Self { client, settings, caches }
    }

    /// Sets for how long an answer counts, 60 seconds by default. A disabled user and a
    /// changed role take effect within that time; on a data plane, which remembers answers
    /// too, within one second more.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        let settings = Settings { max_age, ..self.settings };
        self.with(settings)
    }

    /// Sets how many of each are remembered, 10,000 by default: users, projects,
    /// domains, memberships and delegations.
    #[must_use]
    pub fn capacity(self, capacity: usize) -> Self {
        let settings = Settings { capacity, ..self.settings };
        self.with(settings)
    }

    /// Sets what happens while Keystone is out of order; by default
    /// [`Outage::FailClosed`].
    #[must_use]
    pub fn during_outage(self, outage: Outage) -> Self {
        let settings = Settings { outage, ..self.settings };
        self.with(settings)
    }

    fn with(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self.caches = Caches::new(settings, &self.client);
        self
    }

    async fn domain(&self, id: &str) -> Result<Arc<DomainInfo>, KeystoneError> {
        let id = id.to_owned();
        let ask = || lookup::domain(self.client.clone(), id.clone());
        let domain = self.caches.domains.get(&id, ask).await?;
        Ok(domain.unwrap_or_else(|| Arc::new(DomainInfo::unknown(&id))))
    }

    async fn find_user(&self, id: &UserId) -> Result<Option<User>, KeystoneError> {
        let ask = || lookup::user(self.client.clone(), id.clone());
        let Some(info) = self.caches.users.get(id, ask).await? else { return Ok(None) };
        let domain = self.domain(&info.domain_id).await?;
        let mut user = User::new(id.clone(), info.name.clone());
        user.enabled = info.enabled && domain.enabled;
        user.domain = named(&info.domain_id, &domain);
        user.default_project_id.clone_from(&info.default_project_id);
        Ok(Some(user))
    }

    async fn find_project(&self, id: &ProjectId) -> Result<Option<Project>, KeystoneError> {
        let ask = || lookup::project(self.client.clone(), id.clone());
        let Some(info) = self.caches.projects.get(id, ask).await? else { return Ok(None) };
        // A project that is a domain is in none.
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
        let ask = || lookup::membership(self.client.clone(), key.clone());
        self.caches.memberships.get(&key, ask).await
    }

    /// The delegation as long as whoever gave it could still give it.
    async fn find_delegation(
        &self,
        user_id: &UserId,
        delegation: &Delegation,
    ) -> Result<Option<DelegatedAccess>, KeystoneError> {
        if matches!(delegation, Delegation::Ec2Credential | Delegation::Other) {
            return Ok(None);
        }
        let key = (user_id.clone(), delegation.clone());
        let ask = || delegation::delegation(self.client.clone(), key.clone());
        let Some(info) = self.caches.delegations.get(&key, ask).await? else { return Ok(None) };
        for user_id in &info.involved {
            if !self.find_user(user_id).await?.is_some_and(|user| user.enabled) {
                return Ok(None);
            }
        }
        let roles = match &info.project_id {
            Some(project_id) => {
                let membership = self.find_membership(&info.giver, project_id).await?;
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

    /// None: Keystone does not report its changes.
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
